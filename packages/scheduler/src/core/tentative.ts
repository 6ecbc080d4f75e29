/**
 * Booking on the index while a plan is being made. Everything is taken back at the end: a plan is a proposal, and only
 * the log makes it true.
 */
import type { Candidate, HostId, ScoreBreakdown } from "@berth/schema";
import type { HostIndex } from "./host-index.ts";
import { firstShort } from "./feasibility.ts";
import type { RequestClass } from "./request-class.ts";
import type { PlannedVolumes, VolumeKey, VolumeUse } from "./volumes.ts";

export interface Chosen {
  readonly slot: number;
  readonly hostId: HostId;
  readonly score: ScoreBreakdown;
  readonly runnersUp: readonly Candidate[];
}

export interface Tentative {
  /** How many bookings stand now. */
  readonly bookings: number;
  /** Books the best host for this class, or returns undefined when no host can take it. */
  readonly place: (requestClass: RequestClass, runnersUp: number) => Chosen | undefined;
  /** The same choice without booking it. */
  readonly look: (requestClass: RequestClass, runnersUp: number) => Chosen | undefined;
  /** The same two on one host: there or nowhere. */
  readonly placeAt: (requestClass: RequestClass, slot: number) => Chosen | undefined;
  readonly lookAt: (requestClass: RequestClass, slot: number) => Chosen | undefined;
  /** Volumes that tasks placed here mount. */
  readonly volumes: PlannedVolumes;
  /** Says that a task was placed on `hostId` that mounts these. */
  readonly mount: (uses: readonly VolumeUse[], hostId: HostId) => void;
  /** Books this host, whether there is room or not; `sign` -1: what is kept there is free meanwhile. */
  readonly bookAt: (slot: number, requestClass: RequestClass, sign?: 1 | -1) => void;
  /** The same as `place` on a host that is decided. `aside`: what is booked there and does not stand in its way. */
  readonly placeBeside: (slot: number, requestClass: RequestClass, aside: readonly RequestClass[]) => Chosen;
  /** Takes back what was booked after there were so many bookings. */
  readonly undoTo: (bookings: number) => void;
}

const NO_RUNNERS_UP: readonly Candidate[] = [];

/** Runs `work` with bookings that are gone when it returns. */
export const tentatively = <T>(index: HostIndex, work: (tentative: Tentative) => T): T => {
  const slots: number[] = [];
  const classes: RequestClass[] = [];
  const chosen = (slot: number, requestClass: RequestClass, runnersUp: number): Chosen => {
    const others = runnersUp === 0 ? [] : index.choose(requestClass, 1 + runnersUp).slice(1);
    return {
      slot,
      hostId: index.idOf(slot),
      score: index.explain(slot, requestClass),
      runnersUp:
        others.length === 0
          ? NO_RUNNERS_UP
          : others.map((other) => ({ hostId: other.hostId, score: index.explain(other.slot, requestClass) })),
    };
  };
  const signs: (1 | -1)[] = [];
  const bookAt = (slot: number, requestClass: RequestClass, sign: 1 | -1 = 1): void => {
    index.tryOut(slot, requestClass, sign);
    slots.push(slot);
    classes.push(requestClass);
    signs.push(sign);
  };
  const lookAt = (requestClass: RequestClass, slot: number): Chosen | undefined => {
    const { ready, free } = index.room(slot);
    const fits = ready && requestClass.unknown === null && firstShort(free, 0, requestClass.request) < 0;
    return fits && index.refusal(slot, requestClass) === undefined ? chosen(slot, requestClass, 0) : undefined;
  };
  const mounted = new Map<VolumeKey, { readonly hostId: HostId; readonly uses: VolumeUse[] }>();
  const mounts: { readonly key: VolumeKey; readonly bookings: number }[] = [];
  const volumes: PlannedVolumes = {
    hostOf: (key) => mounted.get(key)?.hostId,
    usesOf: (key) => mounted.get(key)?.uses ?? [],
  };
  const unmount = (key: VolumeKey): void => {
    const known = mounted.get(key);
    known?.uses.pop();
    if (known?.uses.length === 0) mounted.delete(key);
  };
  const undoTo = (bookings: number): void => {
    while (slots.length > bookings) {
      index.tryOut(slots.pop() as number, classes.pop() as RequestClass, signs.pop() === 1 ? -1 : 1);
    }
    while ((mounts.at(-1)?.bookings ?? 0) > bookings) unmount((mounts.pop() as (typeof mounts)[number]).key);
  };
  try {
    return work({
      get bookings() {
        return slots.length;
      },
      place: (requestClass, runnersUp) => {
        const slot = index.pick(requestClass);
        if (slot < 0) return undefined;
        const found = chosen(slot, requestClass, runnersUp);
        bookAt(slot, requestClass);
        return found;
      },
      placeAt: (requestClass, slot) => {
        const found = lookAt(requestClass, slot);
        if (found !== undefined) bookAt(slot, requestClass);
        return found;
      },
      lookAt,
      volumes,
      mount: (uses, hostId) => {
        for (const use of uses) {
          mounts.push({ key: use.key, bookings: slots.length });
          const known = mounted.get(use.key);
          if (known === undefined) mounted.set(use.key, { hostId, uses: [use] });
          else known.uses.push(use);
        }
      },
      bookAt,
      placeBeside: (slot, requestClass, aside) => {
        for (const other of aside) index.tryOut(slot, other, -1);
        const found = chosen(slot, requestClass, 0);
        for (const other of aside) index.tryOut(slot, other, 1);
        bookAt(slot, requestClass);
        return found;
      },
      undoTo,
      look: (requestClass, runnersUp) => {
        const slot = index.pick(requestClass);
        return slot < 0 ? undefined : chosen(slot, requestClass, runnersUp);
      },
    });
  } finally {
    undoTo(0);
  }
};
