/**
 * Who is served first: by priority, risen by waiting; then the project that holds the smaller share; then the order of
 * submission. Every RISE_MS of waiting count as one band, so that nothing waits for ever behind work that keeps coming. What
 * has risen only goes first: it stops nobody whom its own priority would not.
 */
import { MAX_LEVEL, priorityOf } from "@berth/schema";
import type { MutableJob } from "./state.ts";

export const RISE_MS = 6 * 3_600_000;

export const waitedMs = (job: MutableJob, nowMs: number): number =>
  job.waitingSinceMs === null ? 0 : Math.max(0, nowMs - job.waitingSinceMs);

/** Whole bands that a job has risen by waiting. */
export const risen = (job: MutableJob, nowMs: number): number => Math.floor(waitedMs(job, nowMs) / RISE_MS);

export const standing = (job: MutableJob, nowMs: number): number =>
  priorityOf(job.spec) + risen(job, nowMs) * (MAX_LEVEL + 1);
