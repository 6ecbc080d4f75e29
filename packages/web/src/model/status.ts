/**
 * States as people see them: a word, a shape and a tone, always all three, so that colour is never the only signal.
 */
import type { AllocationView, HostView, JobView } from "@berth/schema";

export type Tone = "ok" | "info" | "warn" | "bad" | "drain" | "muted";
export type Glyph = "disc" | "half" | "ring" | "triangle" | "cross" | "question" | "turn" | "check" | "square";

export interface Status {
  readonly word: string;
  readonly glyph: Glyph;
  readonly tone: Tone;
}

const RUNNING: Status = { word: "running", glyph: "disc", tone: "ok" };
const PENDING: Status = { word: "pending", glyph: "ring", tone: "info" };
const STOPPING: Status = { word: "stopping", glyph: "turn", tone: "drain" };
const STOPPED: Status = { word: "stopped", glyph: "square", tone: "muted" };
const COMPLETED: Status = { word: "completed", glyph: "check", tone: "muted" };
const FAILED: Status = { word: "failed", glyph: "cross", tone: "bad" };
const LOST: Status = { word: "lost", glyph: "question", tone: "bad" };

export const hostStatus = (host: Pick<HostView, "state">): Status => {
  switch (host.state) {
    case "ready":
      return { word: "ready", glyph: "disc", tone: "ok" };
    case "cordoned":
      return { word: "cordoned", glyph: "square", tone: "muted" };
    case "draining":
      return { word: "draining", glyph: "turn", tone: "drain" };
    case "disconnected":
      return { word: "disconnected", glyph: "question", tone: "warn" };
    case "lost":
      return LOST;
  }
};

export const jobStatus = (job: Pick<JobView, "state" | "pendingReason">): Status => {
  switch (job.state) {
    case "pending":
      return job.pendingReason === null ? PENDING : { ...PENDING, glyph: "triangle", tone: "warn" };
    case "running":
      return RUNNING;
    case "stopping":
      return STOPPING;
    case "succeeded":
      return { ...COMPLETED, word: "succeeded" };
    case "failed":
      return FAILED;
    case "stopped":
      return STOPPED;
  }
};

const exitStatus = (exit: NonNullable<AllocationView["exit"]>): Status => {
  if (exit.cause === "stopped") return STOPPED;
  if (exit.oom) return { ...FAILED, word: "out of memory" };
  if (exit.cause === "timeout") return { ...FAILED, word: "timed out" };
  if (exit.signal !== null) return { ...FAILED, word: `killed by signal ${exit.signal}` };
  return exit.code === 0 ? COMPLETED : { ...FAILED, word: `exited with ${exit.code}` };
};

/** Of one that runs: what its host measures of it says more than that. */
const runningStatus = (usage: AllocationView["usage"]): Status => {
  if (usage?.paused === true) return { word: "paused", glyph: "half", tone: "info" };
  if (usage?.limitsRefused !== undefined) return { word: "old limits", glyph: "triangle", tone: "warn" };
  return RUNNING;
};

export const allocationStatus = (
  allocation: Pick<AllocationView, "state" | "exit" | "desired"> & { readonly usage?: AllocationView["usage"] },
): Status => {
  switch (allocation.state) {
    case "placed":
      return { word: "placed", glyph: "ring", tone: "info" };
    case "preparing":
      return { word: "preparing", glyph: "half", tone: "info" };
    case "starting":
      return { word: "starting", glyph: "half", tone: "info" };
    case "running":
      return allocation.desired === "stop" ? STOPPING : runningStatus(allocation.usage ?? null);
    case "stopping":
      return STOPPING;
    case "exited":
      return allocation.exit === null ? { ...COMPLETED, word: "exited" } : exitStatus(allocation.exit);
    case "failed":
      return allocation.desired === "stop" && allocation.exit?.cause === "stopped"
        ? STOPPED
        : { ...FAILED, word: "could not start" };
    case "lost":
      return LOST;
  }
};

/** A task without an attempt: it waits, or its job is over and the record of it is gone. */
export const bareTaskStatus = (job: Pick<JobView, "finishedAtMs" | "tasks">): Status =>
  job.finishedAtMs === null && job.tasks.pending > 0 ? PENDING : { word: "no record", glyph: "ring", tone: "muted" };

const CAUSES: Readonly<Record<NonNullable<AllocationView["exit"]>["cause"], string>> = {
  exited: "The program ended by itself",
  signalled: "A signal ended the program",
  oom: "It needed more memory than its limit",
  stopped: "It was asked to stop",
  timeout: "It ran longer than its time limit",
  start_failed: "It could not be started",
  supervisor_lost: "Its supervisor vanished",
  host_rebooted: "Its host rebooted",
  host_lost: "Its host fell silent",
};
export const causeSentence = (exit: NonNullable<AllocationView["exit"]>): string => CAUSES[exit.cause];
