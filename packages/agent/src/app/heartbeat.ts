/**
 * Tells the scheduler that this host is alive and what goes on. Nothing waits for it and nothing depends on one that is
 * lost: the next one says everything again. Use of containers is collected beside it, in one call of the runtime, so that
 * a slow cgroup delays a number, never the heartbeat.
 */
import type { AllocationId, ContainerUsage, Heartbeat } from "@berth/schema";
import { stateDigest } from "../core/digest.ts";
import { createBeat, type Beat } from "./beat.ts";
import type { AgentContext, LiveContainer } from "./context.ts";

/** More than this per heartbeat are read in turn: 2,000 containers are all seen within a few heartbeats. */
const MAX_READ = 400;

interface Reading {
  readonly usage: ContainerUsage;
  readonly cpuUsageMicros: number;
  readonly atMs: number;
}

export const createHeart = (getContext: () => AgentContext): Beat => {
  const readings = new Map<AllocationId, Reading>();
  let sequence = 0;
  let next = 0;
  let reading = false;

  const readAll = async (): Promise<void> => {
    const { clock, runtime, state } = getContext();
    for (const id of readings.keys()) if (!isRunning(state.containers.get(id))) readings.delete(id);
    const running = [...state.containers].filter(([, live]) => isRunning(live));
    const count = Math.min(MAX_READ, running.length);
    const chosen = Array.from({ length: count }, (_, at) => running[(next + at) % running.length]);
    next = running.length === 0 ? 0 : (next + count) % running.length;
    const all = await runtime.stats(chosen.flatMap((entry) => entry?.[0] ?? []));
    const atMs = clock.monotonicMs();
    for (const entry of chosen) {
      const stats = entry === undefined ? undefined : all.get(entry[0]);
      // A container that ended while it was read has no use any more.
      if (entry === undefined || stats === undefined || !isRunning(entry[1])) continue;
      const [id, live] = entry;
      live.paused = stats.paused;
      const before = readings.get(id);
      const elapsedMs = before === undefined ? atMs - live.startedMonotonicMs : atMs - before.atMs;
      const usedMicros = Math.max(0, stats.cpuUsageMicros - (before?.cpuUsageMicros ?? 0));
      readings.set(id, {
        usage: {
          cpuMillis: elapsedMs <= 0 ? 0 : Math.round(usedMicros / elapsedMs),
          memoryBytes: stats.memoryBytes,
          pids: stats.pids,
        },
        cpuUsageMicros: stats.cpuUsageMicros,
        atMs,
      });
    }
  };

  const tick = (): void => {
    const context = getContext();
    if (context.line.isUp() && context.state.greeted) {
      sequence += 1;
      context.line.heartbeat(heartbeatOf(context, sequence, readings));
    }
    if (reading) return;
    reading = true;
    readAll()
      .catch(() => undefined)
      .finally(() => {
        reading = false;
      })
      .catch(() => undefined);
  };

  return createBeat(() => getContext().clock, tick);
};

const isRunning = (live: LiveContainer | undefined): boolean => live !== undefined && live.exit === undefined;

const heartbeatOf = (
  { probe, settings, state }: AgentContext,
  seq: number,
  readings: ReadonlyMap<AllocationId, Reading>,
): Heartbeat => {
  const { pressure, usage } = probe.sample();
  const containers: Record<string, ContainerUsage> = {};
  const sum = { cpuMillis: 0, memoryBytes: 0, pids: 0 };
  for (const [id, reading] of readings) {
    const live = state.containers.get(id);
    containers[id] = {
      ...reading.usage,
      ...(live?.paused === true && { paused: true as const }),
      ...(live?.limitsRefused !== undefined && { limitsRefused: live.limitsRefused.reason }),
    };
    sum.cpuMillis += reading.usage.cpuMillis;
    sum.memoryBytes += reading.usage.memoryBytes;
    sum.pids += reading.usage.pids;
  }
  // A host that is a declared share of a machine uses what its containers use, not what the machine does.
  const used = (dimension: "cpuMillis" | "memoryBytes" | "pids"): number =>
    settings.declared.has(dimension) ? sum[dimension] : usage[dimension];
  return {
    session: settings.session,
    seq,
    epoch: state.version.epoch,
    rev: state.version.rev,
    digest: stateDigest(listedStates(state)),
    usage: { ...usage, cpuMillis: used("cpuMillis"), memoryBytes: used("memoryBytes"), pids: used("pids") },
    pressure,
    containers,
  };
};

/** Allocations of the desired document in the state they have here. */
const listedStates = ({ document, records }: AgentContext["state"]) =>
  (document?.allocations ?? []).map(({ id }) => ({ id, state: records.get(id)?.state ?? ("placed" as const) }));
