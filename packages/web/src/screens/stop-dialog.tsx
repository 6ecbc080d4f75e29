/** The question before a stop: what it ends, in numbers. What comes of it arrives through the live feed. */
import { useState } from "react";
import { formatDuration, type JobView } from "@berth/schema";
import { stopJob, type Failure } from "../api/client.ts";
import type { Cluster } from "../live/replica.ts";
import { plural } from "../model/format.ts";
import { stopConsequence } from "../model/tasks.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Notice } from "../ui/panel.tsx";

export const StopDialog = ({
  cluster,
  job,
  onClose,
}: {
  readonly cluster: Cluster;
  readonly job: JobView;
  readonly onClose: () => void;
}) => {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  const { running, hosts, neverStarted } = stopConsequence(cluster, job);
  const stop = async (): Promise<void> => {
    setBusy(true);
    setFailure(undefined);
    const answer = await stopJob(job.project, job.name);
    setBusy(false);
    if (answer.ok) onClose();
    else setFailure(answer.error);
  };
  return (
    <Dialog title={`Stop ${job.project}/${job.name}?`} onClose={onClose}>
      <ul className="bullets">
        <li>
          {running === 0 ? (
            "Nothing of it runs now."
          ) : (
            <>
              <strong className="number">{plural(running, "allocation")}</strong> on {plural(hosts, "host")}{" "}
              {running === 1 ? "ends" : "end"}: each gets the stop signal and {formatDuration(job.spec.stopTimeoutMs)},
              then it is killed.
            </>
          )}
        </li>
        {neverStarted === 0 ? null : (
          <li>
            <strong className="number">{plural(neverStarted, "task")}</strong> that{" "}
            {neverStarted === 1 ? "waits" : "wait"} will not start.
          </li>
        )}
        <li>Running the same document again starts it anew.</li>
      </ul>
      {failure === undefined ? null : (
        <div role="alert">
          <Notice tone="bad" title={failure.title}>
            <p>{failure.detail ?? "Nothing was stopped. Try again."}</p>
          </Notice>
        </div>
      )}
      <div className="dialog-actions">
        <Button onClick={onClose}>Keep it running</Button>
        <Button kind="danger-solid" disabled={busy} onClick={() => void stop()}>
          {busy ? "Stopping…" : "Stop job"}
        </Button>
      </div>
    </Dialog>
  );
};
