/** What an operator does to a host of a simulation. */
import type { HostId, LogRecord, PortRange, Resources } from "@berth/schema";
import { decideCordon, decideDraining, decideRemove, decideUncordon, type ClusterState } from "../src/core/index.ts";
import { randomPorts } from "./ports.ts";
import type { Random } from "./random.ts";

const MiB = 2 ** 20;

export const randomHostSize = ({ below }: Random): Resources => ({
  cpuMillis: 1000 * (1 + below(8)),
  memoryBytes: 512 * MiB * (1 + below(16)),
  pids: 100 * (1 + below(10)),
  more: { diskBytes: 128 * MiB * (1 + below(8)) },
});

/** Where it is, and which ports it gives out. */
export const randomRest = (random: Random): { readonly zone: string; readonly ports: PortRange } => ({
  zone: random.chance(0.6) ? "a" : "b",
  ports: randomPorts(random),
});

/** He closes, opens, empties or removes it; undefined when he is refused. */
export const dutyStep = (
  state: ClusterState,
  id: HostId,
  { below, chance }: Random,
  nowMs: number,
): readonly LogRecord[] | undefined => {
  const dice = below(10);
  const decided =
    dice < 3
      ? decideCordon(state, id, "ann")
      : dice < 6
        ? decideUncordon(state, id, "ann")
        : dice < 9
          ? decideDraining(state, id, "ann", nowMs + below(20_000))
          : decideRemove(state, id, "ann", chance(0.5));
  return decided.ok ? decided.value : undefined;
};
