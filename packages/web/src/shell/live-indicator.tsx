/** How fresh the screen is: always in sight, spoken only when it changes. */
import { useConnection, useLive } from "../live/store.ts";
import { useTimeText } from "../ui/time.tsx";
import { formatAge } from "../model/format.ts";
import "./live-indicator.css";

const Age = ({ heardAtMs }: { readonly heardAtMs: number }) => {
  const age = useTimeText((nowMs) => formatAge(nowMs - heardAtMs));
  return age === "now" ? null : (
    <span className="number" aria-hidden="true">
      , data is {age} old
    </span>
  );
};

export const LiveIndicator = () => {
  const connection = useConnection();
  const live = useLive();
  return (
    <div className="live" data-kind={connection.kind}>
      <span className="live-dot" aria-hidden="true" />
      <p role="status">
        {connection.kind === "live" ? "live" : null}
        {connection.kind === "connecting" ? "connecting" : null}
        {connection.kind === "reconnecting" ? (
          <>
            reconnecting
            <Age heardAtMs={connection.heardAtMs} />
          </>
        ) : null}
      </p>
      {connection.kind === "reconnecting" ? (
        <button type="button" className="live-retry" onClick={live.retry}>
          Try now
        </button>
      ) : null}
    </div>
  );
};
