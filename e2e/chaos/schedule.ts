/** Which faults a seed means: bounded, and the same for the same seed. Pure. */
import { seededRandom } from "../../packages/scheduler/sim/random.ts";

export type Fault =
  | { readonly kind: "kill" | "pause"; readonly what: "agent"; readonly host: number; readonly forMs: number }
  | { readonly kind: "kill" | "pause"; readonly what: "scheduler" | "nats-server"; readonly forMs: number }
  | { readonly kind: "partition"; readonly host: number; readonly forMs: number }
  | { readonly kind: "restart" };

export interface Step {
  readonly atMs: number;
  readonly fault: Fault;
}

const KINDS = [
  ...(["kill-agent", "kill-agent", "pause-agent", "pause-agent", "partition", "partition"] as const),
  ...(["kill-scheduler", "pause-scheduler", "kill-nats", "pause-nats", "restart"] as const),
];

/** One fault after the other; whatever is paused or cut off is let go after at most `longestMs`. */
export const scheduleOf = (seed: number, durationMs: number, hosts: number, longestMs = 20_000): Step[] => {
  const random = seededRandom(seed);
  const steps: Step[] = [];
  for (let atMs = 1_000; atMs < durationMs; atMs += 1_500 + random.below(4_000)) {
    const host = 1 + random.below(hosts);
    const forMs = 500 + random.below(longestMs - 500);
    const kind = random.pick(KINDS) ?? "kill-agent";
    const fault = ((): Fault => {
      switch (kind) {
        case "kill-agent":
          return { kind: "kill", what: "agent", host, forMs: 0 };
        case "pause-agent":
          return { kind: "pause", what: "agent", host, forMs };
        case "partition":
          return { kind: "partition", host, forMs };
        case "kill-scheduler":
          return { kind: "kill", what: "scheduler", forMs: 0 };
        case "pause-scheduler":
          return { kind: "pause", what: "scheduler", forMs: Math.min(forMs, 8_000) };
        case "kill-nats":
          return { kind: "kill", what: "nats-server", forMs: 0 };
        case "pause-nats":
          return { kind: "pause", what: "nats-server", forMs: Math.min(forMs, 5_000) };
        case "restart":
          return { kind: "restart" };
      }
    })();
    steps.push({ atMs, fault });
  }
  return steps;
};
