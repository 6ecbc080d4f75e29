/**
 * Booking on the index while a plan is being made. Everything is taken back at the end: a plan is a proposal, and only
 * the log makes it true.
 */
import type { Candidate, HostId, ScoreBreakdown } from "@berth/schema";
import type { Vector } from "./feasibility.ts";
import type { HostIndex } from "./host-index.ts";
import type { RequestClass } from "./request-class.ts";
import { explainFit } from "./score.ts";

export interface Chosen {
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
}

/** Runs `work` with bookings that are gone when it returns. */
export const tentatively = <T>(index: HostIndex, work: (tentative: Tentative) => T): T => {
  const booked: { readonly slot: number; readonly request: Vector }[] = [];
  const choose = (requestClass: RequestClass, runnersUp: number) => {
    const [best, ...others] = index.choose(requestClass, 1 + runnersUp);
    if (best === undefined) return undefined;
    const explain = (slot: number): ScoreBreakdown => {
      const room = index.room(slot);
      return explainFit(index.valuation(), room.allocatable, room.free, requestClass.request);
    };
    const chosen: Chosen = {
      hostId: best.hostId,
      score: explain(best.slot),
      runnersUp: others.map(({ slot, hostId }) => ({ hostId, score: explain(slot) })),
    };
    return { slot: best.slot, chosen };
  };
  try {
    return work({
      get bookings() {
        return booked.length;
      },
      place: (requestClass, runnersUp) => {
        const found = choose(requestClass, runnersUp);
        if (found === undefined) return undefined;
        index.book(found.slot, requestClass.request, 1);
        booked.push({ slot: found.slot, request: requestClass.request });
        return found.chosen;
      },
      look: (requestClass, runnersUp) => choose(requestClass, runnersUp)?.chosen,
    });
  } finally {
    for (let entry = booked.pop(); entry !== undefined; entry = booked.pop()) index.undo(entry.slot, entry.request);
  }
};
