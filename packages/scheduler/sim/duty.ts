/** What an operator does to a host of a simulation. */
import type { HostId, LogRecord, Resources } from "@berth/schema";
import { decideCordon, decideDraining, decideRemove, decideUncordon, type ClusterState } from "../src/core/index.ts";
import type { Random } from "./random.ts";

const MiB = 2 ** 20;

export const randomHostSize = ({ below }: Random): Resources => ({
  cpuMillis: 1000 * (1 + below(8)),
  memoryBytes: 512 * MiB * (1 + below(16)),
  pids: 100 * (1 + below(10)),
  more: { diskBytes: 128 * MiB * (1 + below(8)) },
});

export const randomZone = ({ chance }: Random): string => (chance(0.6) ? "a" : "b");

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
