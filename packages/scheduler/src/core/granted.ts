/** What is booked for a task: its request, with the devices that it was given. */
import { cpuList, cpuNumbers, type DeviceGrant, type HostId, type PortGrant } from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { attributesOf } from "./attributes.ts";
import { takesDaemons } from "./daemons.ts";
import { withGrants } from "./devices.ts";
import { toVector } from "./feasibility.ts";
import { withPorts } from "./ports.ts";
import { askedOf, bookedAs, type RequestClass } from "./request-class.ts";
import type { HostRecord, MutableHost, MutableState } from "./state.ts";

/** With the columns of these devices, as the host has them now. */
export const bookedFor = (
  state: MutableState,
  hostId: HostId,
  requestClass: RequestClass,
  grants?: readonly DeviceGrant[],
  ports?: readonly PortGrant[],
): RequestClass => {
  if (grants === undefined || grants.length === 0) return withPorts(requestClass, ports);
  const devices = state.hosts.get(hostId)?.capacity?.devices ?? [];
  const request = withGrants(state.devices, devices, requestClass.request, grants);
  return withPorts(bookedAs(requestClass, request), ports);
};

/** Tells the packer what a host is, as the log has it, or that it takes nothing at all. */
export const describeHost = (state: MutableState, host: MutableHost, takesAny = true): void =>
  state.index.setHost(
    host.slot,
    toVector(state.dimensions, host.allocatable),
    takesAny && host.state === "ready",
    attributesOf(host),
    host.capacity?.devices,
    takesAny && takesDaemons(host),
  );

/** Does something while these hosts take nothing, as if they were closed. */
export const withoutHosts = <T>(state: MutableState, ids: Iterable<HostId>, work: () => T): T => {
  const closed = [...ids].map((id) => state.hosts.get(id)).filter((host) => host !== undefined);
  for (const host of closed) describeHost(state, host, false);
  try {
    return work();
  } finally {
    for (const host of closed) describeHost(state, host);
  }
};

/** Its devices are others now: what its allocations have of them stands elsewhere. */
export const rebook = (state: MutableState, host: MutableHost): void => {
  for (const allocation of allocationsOn(state, host.id)) {
    if (allocation.devices === undefined) continue;
    state.index.tryOut(host.slot, allocation.requestClass, -1);
    const { devices, ports, requestClass } = allocation;
    allocation.requestClass = bookedFor(state, host.id, askedOf(requestClass), devices, ports);
    state.index.tryOut(host.slot, allocation.requestClass, 1);
    state.ledger.touch(host.slot);
  }
};

/** Processors that are some task's own, by number: of a cell whose name is another's now they are where they were. */
export type CpusTaken = Set<number>;

export const cpusTakenOn = (state: MutableState, host: HostRecord): CpusTaken => {
  const taken: CpusTaken = new Set();
  for (const { devices = [] } of allocationsOn(state, host.id)) for (const grant of devices) noteCpus(taken, grant);
  return taken;
};

const noteCpus = (taken: CpusTaken, { cpus }: DeviceGrant): void => {
  if (cpus !== undefined) for (const cpu of cpuNumbers(cpus)) taken.add(cpu);
};

/** Names the processors of grants, the lowest that nobody has; they are taken from then on. */
export const withCpus = (host: HostRecord, grants: readonly DeviceGrant[], taken: CpusTaken): DeviceGrant[] =>
  grants.map((grant) => {
    const { kind, id, amounts } = grant;
    const device = host.capacity?.devices?.find((one) => one.kind === kind && one.id === id);
    if (device?.cpus === undefined || amounts["cpus"] === undefined) return grant;
    const own = cpuNumbers(device.cpus).filter((cpu) => !taken.has(cpu));
    const named = { ...grant, cpus: cpuList(own.slice(0, amounts["cpus"])) };
    noteCpus(taken, named);
    return named;
  });
