/** Berth through its typed API, as an agent uses it. */
import { join } from "node:path";
import { openRuntime, type Container, type ContainerSpec, type NetworkSpec, type Runtime } from "@berth/native";
import type { Place } from "./place.ts";

export interface Timing {
  /** The call itself, synchronously. */
  readonly calledMs: number;
  readonly startedMs: number;
  readonly exitedMs: number;
  readonly removedMs: number;
}

export interface Berth {
  readonly runtime: Runtime;
  start(command: readonly string[], network?: NetworkSpec): Promise<Container>;
  /** One start of `true` to its removal. */
  time(network?: NetworkSpec): Promise<Timing>;
  close(): Promise<void>;
}

/** `standby`: how many supervisors wait for a start; without any, a start makes all of it. */
export const openBerth = async (place: Place, standby: number): Promise<Berth> => {
  const name = standby === 0 ? "plain" : "pooled";
  const runtime = await openRuntime({
    stateDir: join(place.directory, name),
    cgroupParent: place.cgroupParent,
    standby,
  });
  await runtime.adopt();
  let serial = 0;
  const spec = (command: readonly string[], network: NetworkSpec): ContainerSpec => {
    serial += 1;
    return {
      id: `${name}${serial}`,
      layers: [place.image],
      command,
      env: {},
      workdir: "/",
      hostname: "bench",
      mounts: [],
      network,
      idBase: (standby === 0 ? 200_000_000 : 1_300_000_000) + (serial % 4000) * 65_536,
      limits: { cpuRequestMillis: 500, cpuLimitMillis: 1000, memoryBytes: 64 * 1024 * 1024, pids: 64 },
    };
  };
  const start = async (command: readonly string[], network: NetworkSpec = { kind: "none" }): Promise<Container> => {
    const result = await runtime.start(spec(command, network));
    if (!result.ok) throw new Error(`${result.error.stage}: ${result.error.detail} ${result.error.code}`);
    return result.value;
  };
  return {
    runtime,
    start,
    time: async (network) => {
      const begin = performance.now();
      const starting = start(["/bin/true"], network);
      const calledMs = performance.now() - begin;
      const container = await starting;
      const startedMs = performance.now() - begin;
      await container.exited;
      const exitedMs = performance.now() - begin;
      await container.remove();
      return { calledMs, startedMs, exitedMs, removedMs: performance.now() - begin };
    },
    close: () => runtime.close(),
  };
};
