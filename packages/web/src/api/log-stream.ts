/**
 * Follows one stream of an allocation into a log buffer until the allocation has ended and its last byte has come.
 *
 * A broken connection resumes at the byte where it broke. A stream that ends while the allocation still runs was cut on
 * the way (a proxy, a restarted scheduler) and resumes as well. Waits double from 1 s to 15 s.
 */
import { Routes, routePath } from "@berth/schema";
import { request, type Failure } from "./client.ts";
import { createLogBuffer, type LogView } from "./log-buffer.ts";

export const MAX_LINES = 5_000;
const MAX_LINE_LENGTH = 8_192;
const SHOW_EVERY_MS = 100;

export interface LogStatus {
  /** `waiting`: nothing to read yet. `failing`: trying again. `done`: no byte will follow. */
  readonly kind: "opening" | "following" | "waiting" | "failing" | "done";
  readonly failure: Failure | undefined;
}

export interface LogTarget {
  readonly allocation: string;
  readonly stream: "stdout" | "stderr";
  /** Whether the allocation is over, asked each time the stream ends. */
  readonly ended: () => boolean;
  readonly onView: (view: LogView) => void;
  readonly onStatus: (status: LogStatus) => void;
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

export const followLogs = async (target: LogTarget, signal: AbortSignal): Promise<void> => {
  const buffer = createLogBuffer({ maxLines: MAX_LINES, maxLineLength: MAX_LINE_LENGTH });
  const decoder = new TextDecoder();
  let offset = 0;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const show = (): void => {
    timer = undefined;
    if (!signal.aborted) target.onView(buffer.view());
  };
  const say = (kind: LogStatus["kind"], failure?: Failure): void => {
    if (!signal.aborted) target.onStatus({ kind, failure });
  };
  /** Reads until the stream ends; false when it broke. */
  const read = async (response: Response): Promise<boolean> => {
    const reader = response.body?.getReader();
    if (reader === undefined) return true;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return true;
        offset += value.byteLength;
        failures = 0;
        buffer.push(decoder.decode(value, { stream: true }));
        timer ??= setTimeout(show, SHOW_EVERY_MS);
      }
    } catch {
      return false;
    }
  };

  say("opening");
  const path = routePath(Routes.allocationLogs, { allocation: target.allocation });
  while (!signal.aborted) {
    const endedBefore = target.ended();
    const answer = await request(`${path}?stream=${target.stream}&follow=true&offset=${offset}`, { signal });
    if (answer.ok) {
      say("following");
      // A log does not go back for ever: what it begins with may lie behind what was asked for.
      const begins = Number(answer.value.headers.get("berth-offset") ?? Number.NaN);
      if (Number.isSafeInteger(begins)) offset = begins;
      const whole = await read(answer.value);
      // Asked before the request, so that bytes written between the two are not missed.
      if (whole && endedBefore) break;
    } else if (answer.error.code === "allocation.no_logs") {
      if (endedBefore) break;
      say("waiting");
    } else if (answer.error.status === 404 || answer.error.status === 401) {
      return say("done", answer.error);
    } else {
      say("failing", answer.error);
    }
    await sleep(Math.min(15_000, 1_000 * 2 ** failures), signal);
    failures = Math.min(failures + 1, 4);
  }
  clearTimeout(timer);
  show();
  say("done");
};
