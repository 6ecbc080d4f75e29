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
    .map((record) => ({ id: record.id, finishedAtMs: record.exit?.finishedAtMs ?? 0, bytes: record.keptBytes }));
  return beyondLimits(candidates, nowMs, limits);
};

export interface Kept {
  readonly id: AllocationId;
  readonly finishedAtMs: number;
  readonly bytes: number;
}

/** What has to go for the newest to stay within the limits. */
export const beyondLimits = (
  kept: readonly Kept[],
  nowMs: number,
  limits: RetentionLimits,
): readonly AllocationId[] => {
  const beyond: AllocationId[] = [];
  let bytes = 0;
  for (const [at, one] of kept
    .toSorted((a, b) => b.finishedAtMs - a.finishedAtMs || (a.id < b.id ? 1 : -1))
    .entries()) {
    bytes += one.bytes;
    const tooOld = nowMs - one.finishedAtMs > limits.ageMs;
    if (tooOld || at >= limits.count || bytes > limits.bytes) beyond.push(one.id);
  }
  return beyond;
};

/** Of layers of ended containers: a day, a thousand, 10 GiB. Whoever wants one for longer makes an image of it. */
export const DEFAULT_LAYER_RETENTION: RetentionLimits = { count: 1000, ageMs: 86_400_000, bytes: 10 * 2 ** 30 };

/** Layers that go now: beyond their limits, and, oldest first, as many as free `excessBytes` of a disk that is too full. */
export const layersToDrop = (
  kept: readonly Kept[],
  nowMs: number,
  limits: RetentionLimits,
  excessBytes: number,
): readonly AllocationId[] => {
  const dropped = new Set(beyondLimits(kept, nowMs, limits));
  let freed = 0;
  for (const one of kept.toSorted((a, b) => a.finishedAtMs - b.finishedAtMs || (a.id < b.id ? -1 : 1))) {
    if (!dropped.has(one.id) && freed >= excessBytes) break;
    dropped.add(one.id);
    freed += one.bytes;
  }
  return [...dropped];
};
