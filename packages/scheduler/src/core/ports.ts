/**
 * Numbers of ports on hosts. That there is one is known before it is chosen: whoever says a number is a group of its own, of
 * which one may stand on a host, and of those for whom any will do there are never more than the host has numbers. So the
 * packer knows nothing of ports but a dimension and a group, and who asks for none pays nothing.
 */
import {
  isInRange,
  taskName,
  type HostId,
  type JobSpec,
  type Placement,
  type PortAsk,
  type PortGrant,
} from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { askedOf, type RequestClass } from "./request-class.ts";
import { portGroup } from "./rules.ts";
import type { HostRecord, JobRecord, MutableState } from "./state.ts";

/** Those that its allocations have, and those that are said by whoever else is to come there. */
export const portsTakenOn = (
  { allocations }: { readonly allocations: Iterable<{ readonly ports?: readonly PortGrant[] }> },
  coming: readonly { readonly job: Pick<JobRecord, "spec"> }[],
): Set<number> => {
  const given = [...allocations].flatMap(({ ports = [] }) => ports.map(({ port }) => port));
  const said = coming.flatMap(({ job }) => job.spec.ports?.flatMap(({ port }) => port ?? []) ?? []);
  return new Set([...given, ...said]);
};

/** The lowest numbers that nobody has; they are taken from then on. */
const numbered = (host: HostRecord, asks: readonly PortAsk[], taken: Set<number>): PortGrant[] => {
  const { first, last } = host.capacity?.ports ?? { first: 1, last: 0 };
  let next = first;
  return asks.flatMap(({ name, port }) => {
    while (port === null && next <= last && taken.has(next)) next += 1;
    const number = port ?? next;
    if (port === null && number > last) return [];
    taken.add(number);
    return [{ name, port: number }];
  });
};

/** What one plan gives. */
export class PlannedPorts {
  readonly #taken = new Map<HostId, Set<number>>();

  /** Of those that no other placement of this plan has. */
  give(host: HostRecord | undefined, asks: readonly PortAsk[]): { readonly ports: PortGrant[] } {
    if (host === undefined) return { ports: [] };
    const taken = this.#taken.get(host.id) ?? portsTakenOn(host, []);
    this.#taken.set(host.id, taken);
    return { ports: numbered(host, asks, taken) };
  }
}

/** As it is booked: numbers that it was given count like those that somebody has said. */
export const withPorts = (requestClass: RequestClass, ports: readonly PortGrant[] | undefined): RequestClass => {
  if (ports === undefined) return requestClass;
  const given = ports.map(({ port }) => portGroup(port)).filter((group) => !requestClass.groups.includes(group));
  if (given.length === 0) return requestClass;
  return { ...requestClass, groups: [...requestClass.groups, ...given], asked: askedOf(requestClass) };
};

/** Who has it there, or is to have it, by name. */
export const holderOf = (state: MutableState, hostId: HostId, port: number): string | undefined => {
  for (const { index, job, ports = [], project } of allocationsOn(state, hostId))
    if (ports.some((one) => one.port === port)) return `${project}/${taskName(job, index)}`;
  for (const { index, job } of state.hosts.get(hostId)?.reservations ?? [])
    if (job.spec.ports?.some((one) => one.port === port) === true) return `${job.project}/${taskName(job.name, index)}`;
  return undefined;
};

/** What is wrong with the numbers of a task that is placed on a host of which these are taken; counts them. */
export const wrongPorts = (
  host: HostRecord,
  { ports: asks = [] }: Pick<JobSpec, "ports">,
  { ports: grants = [] }: Pick<Placement, "ports">,
  taken: Set<number>,
): string[] => {
  const wrong: string[] = [];
  if (asks.map(({ name }) => name).join() !== grants.map(({ name }) => name).join()) wrong.push("is given other ports");
  grants.forEach(({ name, port }, at) => {
    const asked = asks[at]?.port ?? null;
    const range = host.capacity?.ports;
    if (asked !== null && asked !== port) wrong.push(`asks for port ${asked} and is given ${port}`);
    if (isInRange(range, port) !== (asked === null))
      wrong.push(`is given port ${port} as ${name}, of a host that gives out ${range?.first ?? 0}-${range?.last ?? 0}`);
    if (taken.has(port)) wrong.push(`is given port ${port}, which is taken`);
    taken.add(port);
  });
  return wrong;
};

/** And with those that a task says for which room is to be kept there; counts them. The others it gets when it is placed. */
export const wrongKept = (host: HostRecord, { ports = [] }: Pick<JobSpec, "ports">, taken: Set<number>): string[] =>
  ports.flatMap(({ port }) => {
    if (port === null) return [];
    const isGivenOut = isInRange(host.capacity?.ports, port);
    const isTaken = taken.has(port);
    taken.add(port);
    return isGivenOut || isTaken
      ? [`is to have port ${port}, which is ${isTaken ? "taken" : "the host's to give"}`]
      : [];
  });
