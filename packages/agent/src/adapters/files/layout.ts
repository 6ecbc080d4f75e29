/** Where everything lies below an agent's data directory. One place, so that nothing else joins these paths. */
import { join } from "node:path";
import type { AllocationId } from "@berth/schema";

export interface Layout {
  readonly root: string;
  /** The runtime's own state; its lock keeps a second agent out. */
  readonly runtime: string;
  readonly images: string;
  /** Written by the operator: how registries are reached. */
  readonly registries: string;
  /** Written by the operator: marks and limits of the store of images. */
  readonly imageSettings: string;
  readonly settings: string;
  readonly desired: string;
  readonly previousDesired: string;
  readonly fence: string;
  readonly allocations: string;
  readonly outputs: string;
  readonly volumes: string;
  /** What ended containers have written. */
  readonly layers: string;
  /** Names of containers that this agent has paused. */
  readonly pauses: string;
  readonly seed: string;
  /** Of what the scheduler seals for this host. */
  readonly sealingKey: string;
  readonly allocation: (id: AllocationId) => string;
  readonly record: (id: AllocationId) => string;
  /** Outputs while the container may write them. */
  readonly livingOutputs: (id: AllocationId) => string;
  /** Outputs of a task that succeeded. */
  readonly keptOutputs: (id: AllocationId) => string;
}

export const layoutOf = (dataDir: string): Layout => {
  const allocations = join(dataDir, "allocations");
  const outputs = join(dataDir, "outputs");
  return {
    root: dataDir,
    runtime: join(dataDir, "runtime"),
    images: join(dataDir, "images"),
    registries: join(dataDir, "registries.json"),
    imageSettings: join(dataDir, "images.json"),
    settings: join(dataDir, "agent.json"),
    desired: join(dataDir, "desired.json"),
    previousDesired: join(dataDir, "desired.previous.json"),
    fence: join(dataDir, "fence.json"),
    allocations,
    outputs,
    volumes: join(dataDir, "volumes"),
    layers: join(dataDir, "layers"),
    pauses: join(dataDir, "pauses"),
    seed: join(dataDir, "identity.seed"),
    sealingKey: join(dataDir, "sealing.key"),
    allocation: (id) => join(allocations, id),
    record: (id) => join(allocations, id, "record.json"),
    livingOutputs: (id) => join(allocations, id, "outputs"),
    keptOutputs: (id) => join(outputs, id),
  };
};
