/** Which faults a seed means: bounded, and the same for the same seed and repertoire. Pure. */
import { seededRandom, type Random } from "../../packages/scheduler/sim/random.ts";

export type FaultKind =
  /** kill -9. */
  | "kill"
  /** SIGSTOP, later SIGCONT. */
  | "pause"
  /** Its link is down. */
  | "partition"
  /** A server and the other servers do not hear each other; clients reach it. */
  | "split"
  | "slow-disk"
  | "disk-full"
  /** Its wall clock is wrong for a while. */
  | "clock"
  /** The newest snapshot of the store does not prove itself, and whoever would start from it is killed. */
  | "snapshot"
  /** Everything is killed at once and started again. */
  | "restart";

export interface Fault {
  readonly kind: FaultKind;
  readonly on: string;
  /** For how long, where it has a duration. */
  readonly forMs: number;
  /** Of a clock: by how many seconds it is wrong. */
  readonly byS: number;
}

export interface Step {
  readonly atMs: number;
  readonly fault: Fault;
}

/** What can be done to a cluster, and how often in proportion. */
export interface Possible {
  readonly kind: FaultKind;
  readonly on: readonly string[];
  readonly weight: number;
  /** Where less than the schedule's own bound is meant. */
  readonly longestMs?: number;
}

const JUMPS_S = [3, 30, 600, 7_200, 100_000];

const faultOf = (random: Random, { kind, on, longestMs }: Possible, mostMs: number): Fault => {
  const bound = Math.min(mostMs, longestMs ?? mostMs);
  const forMs = 500 + random.below(Math.max(1, bound - 500));
  const byS = (random.pick(JUMPS_S) ?? 0) * (random.below(2) === 0 ? 1 : -1);
  return { kind, on: random.pick(on) ?? "", forMs, byS };
};

/** One fault after the other; whatever lasts is over after at most `longestMs`. */
export const scheduleOf = (
  seed: number,
  durationMs: number,
  possible: readonly Possible[],
  longestMs = 20_000,
): Step[] => {
  const random = seededRandom(seed);
  const all = possible.flatMap((one) => Array.from({ length: one.weight }, () => one));
  const steps: Step[] = [];
  for (let atMs = 1_000; atMs < durationMs; atMs += 1_500 + random.below(4_000)) {
    const chosen = random.pick(all);
    if (chosen === undefined) break;
    steps.push({ atMs, fault: faultOf(random, chosen, longestMs) });
  }
  return steps;
};

const BETWEEN_MS = 1_500;

/** Everything that is possible once, in an order of the seed's, and each is over before the next begins. */
export const eachOnce = (seed: number, possible: readonly Possible[], longestMs: number): Step[] => {
  const random = seededRandom(seed);
  const left = [...possible];
  const steps: Step[] = [];
  for (let atMs = 1_000; left.length > 0;) {
    const [chosen] = left.splice(random.below(left.length), 1);
    if (chosen === undefined) break;
    const fault = faultOf(random, chosen, longestMs);
    steps.push({ atMs, fault });
    atMs += fault.forMs + BETWEEN_MS;
  }
  return steps;
};
