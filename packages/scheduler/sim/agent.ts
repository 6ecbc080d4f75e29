/**
 * A host as the scheduler meets it: takes desired documents, runs containers in virtual time, reports what happens over a
 * line that loses, repeats and reorders. It keeps every report until it has been acknowledged, as real agents do.
 */
import {
  deviceTotals,
  isTerminal,
  portsIn,
  type AllocationId,
  type AllocationReport,
  type AllocationState,
  type DesiredDocument,
  type Device,
  type Exit,
  type Hello,
  type HostId,
  type JobSpec,
  type PortRange,
  type Resources,
} from "@berth/schema";
import { couldGive } from "./devices.ts";
import { portsFor } from "./ports.ts";
import { couldStand } from "./rules.ts";
import type { Random } from "./random.ts";

interface Container {
  state: AllocationState;
  readonly startedAtMs: number;
  stopAsked: boolean;
}

export interface SimAgent {
  readonly id: HostId;
  online: boolean;
  session: number;
  boot: number;
  /** What secrets are sealed to; null: it knows none. */
  sealingKey: string | null;
  allocatable: Resources;
  devices: readonly Device[];
  /** Null: it has no labels. */
  zone: string | null;
  /** Null: it gives out none. */
  ports: PortRange | null;
  readonly containers: Map<AllocationId, Container>;
  readonly unacknowledged: AllocationReport[];
  epoch: number;
  rev: number;
}

export const createAgent = (id: HostId, allocatable: Resources, devices: readonly Device[]): SimAgent => ({
  id,
  online: true,
  session: 1,
  boot: 1,
  sealingKey: null,
  allocatable,
  devices,
  zone: null,
  ports: null,
  containers: new Map(),
  unacknowledged: [],
  epoch: 0,
  rev: 0,
});

const note = (agent: SimAgent, id: AllocationId, container: Container, reason: string, exit: Exit | null): void => {
  const report = { id, state: container.state, reason, startedAtMs: container.startedAtMs, exit };
  agent.unacknowledged.push(report);
};

const exitOf = (container: Container, nowMs: number, code: number, cause: Exit["cause"]): Exit => ({
  code,
  signal: null,
  oom: false,
  cause,
  detail: null,
  startedAtMs: container.startedAtMs,
  finishedAtMs: nowMs,
});

const end = (
  agent: SimAgent,
  id: AllocationId,
  container: Container,
  nowMs: number,
  code: number,
  cause: Exit["cause"],
): void => {
  container.state = cause === "start_failed" ? "failed" : "exited";
  note(agent, id, container, cause, exitOf(container, nowMs, code, cause));
};

/** Takes a document over if it is newer: starts what is new in it, asks what is to stop or no longer in it to stop. */
export const takeDocument = (agent: SimAgent, document: DesiredDocument, nowMs: number): void => {
  if (document.epoch < agent.epoch || (document.epoch === agent.epoch && document.rev <= agent.rev)) return;
  agent.epoch = document.epoch;
  agent.rev = document.rev;
  const wanted = new Map(document.allocations.map((allocation) => [allocation.id, allocation]));
  for (const allocation of document.allocations) {
    if (agent.containers.has(allocation.id)) continue;
    const container: Container = { state: "placed", startedAtMs: nowMs, stopAsked: false };
    agent.containers.set(allocation.id, container);
  }
  for (const [id, container] of agent.containers) {
    const allocation = wanted.get(id);
    if (allocation === undefined && isTerminal(container.state)) agent.containers.delete(id);
    else if (allocation === undefined || allocation.desired === "stop") container.stopAsked = true;
  }
};

const STEPS: readonly AllocationState[] = ["preparing", "starting", "running"];

/** Lets each container take a step with some chance: forward in its life, towards its end, or to the end it was asked for. */
export const work = (agent: SimAgent, random: Random, nowMs: number, willing: boolean): void => {
  for (const [id, container] of agent.containers) {
    if (isTerminal(container.state) || !(willing || random.chance(0.5))) continue;
    if (container.stopAsked) {
      if (container.state === "stopping" || random.chance(0.5)) end(agent, id, container, nowMs, 143, "stopped");
      else {
        container.state = "stopping";
        note(agent, id, container, "stop_asked", null);
      }
      continue;
    }
    const next = STEPS[STEPS.indexOf(container.state) + 1];
    if (next !== undefined) {
      if (!willing && random.chance(0.05)) end(agent, id, container, nowMs, 125, "start_failed");
      else {
        container.state = next;
        note(agent, id, container, "step", null);
      }
    } else if (willing || random.chance(0.3)) {
      const code = willing ? 0 : (random.pick([0, 0, 0, 1, 64, 75]) ?? 0);
      end(agent, id, container, nowMs, code, "exited");
    }
  }
};

/** The machine restarts: whatever ran is gone, and the agent says so when it is back. */
export const reboot = (agent: SimAgent, nowMs: number): void => {
  agent.boot += 1;
  agent.session += 1;
  for (const [id, container] of agent.containers) {
    if (!isTerminal(container.state)) end(agent, id, container, nowMs, 137, "host_rebooted");
  }
};

/** Another program of it starts, with a key of its own for secrets. */
export const newKey = (agent: SimAgent): void => {
  agent.session += 1;
  agent.sealingKey = `${String(agent.session).padStart(43, "A")}=`;
};

/** What it says of itself when it connects. */
export const helloOf = ({
  id,
  session,
  boot,
  devices,
  epoch,
  rev,
  sealingKey,
  zone,
  ports,
  ...agent
}: SimAgent): Hello => {
  const totals = deviceTotals(devices.map(({ kind, has }) => ({ kind, count: 1, each: has })));
  const more = { ...agent.allocatable.more, ...totals, ...(ports !== null && { ports: portsIn(ports) }) };
  const allocatable = { ...agent.allocatable, more };
  return {
    version: 1,
    session: `session-${String(session).padStart(16, "0")}`,
    bootId: `boot-${boot}`,
    inventory: {
      hostname: id,
      arch: "x64",
      os: "linux",
      kernel: "6",
      cpuModel: "cpu",
      cpuCount: 8,
      memoryBytes: allocatable.memoryBytes,
      cgroupVersion: "v2",
      notEnforced: [],
      agentVersion: "0",
      ...(zone !== null && { labels: { zone } }),
    },
    capacity: {
      ...{ capacity: allocatable, systemReserved: { cpuMillis: 0, memoryBytes: 0, pids: 0 }, allocatable },
      ...(devices.length > 0 && { devices: [...devices] }),
      ...(ports !== null && { ports }),
    },
    epoch,
    rev,
    ...(sealingKey !== null && { sealingKey }),
  };
};

/** So many tasks of a kind fit on all of them together while they are empty; of devices at most one on each is counted. */
const fitting = (agents: readonly SimAgent[], spec: JobSpec): number =>
  agents.reduce((sum, { allocatable: all, devices, ports, zone }) => {
    const { requests, devices: asks = [] } = spec;
    if (!couldGive(devices, asks) || !couldStand(spec, zone)) return sum;
    const { cpuMillis, memoryBytes, pids } = requests;
    const most = Math.min(all.cpuMillis / cpuMillis, all.memoryBytes / memoryBytes, all.pids / pids);
    const times = Math.min(Math.floor(most), portsFor(spec, ports));
    return sum + (asks.length > 0 ? Math.min(1, times) : times);
  }, 0);

/**
 * Whether a job must come to its end while these are there. Its data may lie on a host that is too small by now, or be written
 * by a job that never ends; the rules of a gang may want more hosts or places than there are.
 */
export const couldRun = (agents: readonly SimAgent[], spec: JobSpec): boolean => {
  const { gangMin, placement, volumes } = spec;
  if (volumes.length > 0 || (gangMin !== undefined && placement !== undefined)) return false;
  return fitting(agents, spec) >= (gangMin ?? 1);
};
