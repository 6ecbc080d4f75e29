/**
 * A job's progress on stderr: redrawn in place on a terminal. Elsewhere a line for each tenth of the way, and one now and
 * then while nothing moves, so that a log stays readable whatever the size of the array.
 */
import type { JobView } from "@berth/schema";
import type { Io } from "../io.ts";
import { createLayerView, type Followed } from "./layers.ts";
import { createLive } from "./live.ts";
import { doneOf, wantedOf, isTerminalJob, progressLine, progressWords } from "./progress-text.ts";

const STEPS = 10;
const QUIET_MS = 15_000;

export interface Progress {
  readonly update: (job: JobView) => Promise<void>;
  /** Images that hosts bring for it now: in the place of the job's line, as long as there are some. */
  readonly bringing: (followed: readonly Followed[]) => Promise<void>;
  /** Before anything else is written. */
  readonly clear: () => Promise<void>;
}

const SILENT: Progress = {
  update: () => Promise.resolve(),
  bringing: () => Promise.resolve(),
  clear: () => Promise.resolve(),
};

/** `quiet`: says nothing at all. */
export const createProgress = (io: Pick<Io, "err" | "nowMs">, quiet = false): Progress => {
  if (quiet) return SILENT;
  const live = createLive(io.err);
  const layers = createLayerView(io.err, false);
  let isBringing = false;
  let said: { readonly step: string; readonly text: string; readonly atMs: number } | undefined;
  const update = async (job: JobView): Promise<void> => {
    if (io.err.isTty) return isBringing ? undefined : live.show(progressLine(job));
    // The end has a sentence of its own.
    if (isTerminalJob(job)) return;
    const text = progressWords(job);
    const step = `${job.state} ${Math.floor((doneOf(job) / Math.max(1, wantedOf(job))) * STEPS)}`;
    const atMs = io.nowMs();
    if (said !== undefined && (said.text === text || (said.step === step && atMs - said.atMs < QUIET_MS))) return;
    said = { step, text, atMs };
    await io.err.write(`${text}\n`);
  };
  const clear = async (): Promise<void> => {
    await layers.clear();
    await live.clear();
  };
  return {
    update,
    clear,
    bringing: async (followed) => {
      const begins = followed.length > 0;
      if (begins !== isBringing) await clear();
      isBringing = begins;
      if (begins) await layers.update(followed);
    },
  };
};
