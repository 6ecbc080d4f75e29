/**
 * Which finished allocations are forgotten, with their logs and outputs. Only those that the scheduler knows to be
 * finished and no longer lists are candidates: a record that is still needed is never dropped for room. Among them the
 * oldest go first, until count, age and size are within the limits.
 */
import { isTerminal, type AllocationId } from "@berth/schema";
import type { AllocationRecord } from "./record.ts";

export interface RetentionLimits {
  readonly count: number;
  readonly ageMs: number;
  readonly bytes: number;
}

/** A week, a few thousand tasks, 20 GiB. */
export const DEFAULT_RETENTION: RetentionLimits = { count: 4000, ageMs: 7 * 86_400_000, bytes: 20 * 2 ** 30 };

/** `isNeeded`: the desired document lists it, or its container is still there. */
export const toForget = (
  records: Iterable<AllocationRecord>,
  isNeeded: (id: AllocationId) => boolean,
  nowMs: number,
  limits: RetentionLimits,
): readonly AllocationId[] => {
  const candidates = [...records]
    .filter((record) => isTerminal(record.state) && record.acked === record.state && !isNeeded(record.id))
    .map((record) => ({ id: record.id, finishedAtMs: record.exit?.finishedAtMs ?? 0, bytes: record.keptBytes }))
    .toSorted((a, b) => b.finishedAtMs - a.finishedAtMs || (a.id < b.id ? 1 : -1));
  const forgotten: AllocationId[] = [];
  let bytes = 0;
  for (const [at, candidate] of candidates.entries()) {
    bytes += candidate.bytes;
    const tooOld = nowMs - candidate.finishedAtMs > limits.ageMs;
    if (tooOld || at >= limits.count || bytes > limits.bytes) forgotten.push(candidate.id);
  }
  return forgotten;
};
