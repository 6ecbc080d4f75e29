/** Times that stay true while one looks at them: one clock for the whole page, drawn again only where a text changes. */
import { useSyncExternalStore } from "react";
import { formatDuration } from "@berth/schema";
import { formatAge } from "../model/format.ts";

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
};

/** A text of the present time. The component is drawn again when the text differs, not when the second does. */
export const useTimeText = (text: (nowMs: number) => string): string =>
  useSyncExternalStore(subscribe, () => text(Date.now()));

/** The time, in steps of a minute: for what is news today and history tomorrow. */
export const useMinute = (): number => useSyncExternalStore(subscribe, () => Math.floor(Date.now() / 60_000) * 60_000);

const absolute = (atMs: number): string =>
  new Date(atMs).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** `4m ago`, with the full time on hover. */
export const Ago = ({ atMs }: { readonly atMs: number }) => {
  const age = useTimeText((nowMs) => formatAge(nowMs - atMs));
  return (
    <time className="nowrap number" dateTime={new Date(atMs).toISOString()} title={absolute(atMs)}>
      {age === "now" ? "just now" : `${age} ago`}
    </time>
  );
};

/** `Mar 3, 2026, 14:02:11 (4m ago)`. */
export const At = ({ atMs }: { readonly atMs: number }) => (
  <>
    <span className="number">{absolute(atMs)}</span>{" "}
    <span className="muted">
      (<Ago atMs={atMs} />)
    </span>
  </>
);

/** How long something took, or has taken until now. */
export const Elapsed = ({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number | null }) => {
  const text = useTimeText((nowMs) => {
    const ms = Math.max(0, (toMs ?? nowMs) - fromMs);
    // Tenths of a second that tick are noise.
    return formatDuration(toMs === null ? Math.floor(ms / 1_000) * 1_000 : ms);
  });
  return <span className="nowrap number">{text === "0ms" ? "0s" : text}</span>;
};
