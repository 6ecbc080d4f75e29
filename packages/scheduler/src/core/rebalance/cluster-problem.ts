/**
 * The cluster as a problem of reassignment. Only services move, since stopping a batch task throws its work away, and only
 * those of which every task runs, so that a move never takes the second-last one away. Whatever cannot move stays in the
 * problem, where it takes its room.
 */
import { DIMENSIONS, holds, type AllocationId, type HostId, type RebalanceGoal, type StayReason } from "@berth/schema";
import { attributesOf } from "../attributes.ts";
import { mayStop } from "../disruption.ts";
import { STRIDE } from "../vector.ts";
import { inside, type ClusterState, type MutableAllocation, type MutableJob } from "../state.ts";
import { mountsVolumes } from "../volumes.ts";
import type { Reassignment } from "./reassignment.ts";

export interface ClusterProblem {
  readonly problem: Reassignment;
  /** By their numbers in the problem. */
  readonly hosts: readonly HostId[];
  readonly allocations: readonly AllocationId[];
  readonly stay: ReadonlyMap<StayReason, number>;
  /** What each host has in all; the capacity in the problem is what volumes and room that is kept for others leave of it. */
  readonly allocatable: Float64Array;
}

export interface Wish {
  readonly goal: RebalanceGoal;
  readonly maxMoves: number;
  readonly targetPercent: number;
}

/** What a host is worth, and with it everything else: an emptied host may cost fewer moves than MOVES_PER_HOST. */
const HOST_WORTH = 1_000_000;
const MOVES_PER_HOST = 20;

const whyStays = (allocation: MutableAllocation, job: MutableJob | undefined): StayReason | null => {
  if (allocation.spec.kind !== "service") return allocation.spec.kind;
  const { pending = 0, starting = 0, stopping = 0 } = job?.counts ?? {};
  const isWhole = pending + starting + stopping + (job?.extra.size ?? 0) === 0;
  const isSettled = job?.version === allocation.jobVersion && isWhole;
  if (!isSettled || allocation.desired === "stop" || allocation.state !== "running") return "not_settled";
  if (job !== undefined && mayStop(job) < 1) return "budget";
  if (mountsVolumes(allocation.spec)) return "volumes";
  // Which device another host would give it is not part of this search.
  if (allocation.requestClass.columns) return "rules";
  const rules = allocation.requestClass.rules;
  // These speak of where others are, which a plan of many moves changes under them.
  if (rules !== null && (rules.places.length > 0 || rules.hostTogether.length > 0)) return "rules";
  if (rules?.hostLimits.some(({ reason }) => reason === "apart" || reason === "shunned") === true) return "rules";
  return allocation.requestClass.groups.some((group) => !group.startsWith("=")) ? "rules" : null;
};

/** Costs O(allocations + jobs × hosts). */
export const problemOf = (clusterState: ClusterState, wish: Wish): ClusterProblem => {
  const state = inside(clusterState);
  const records = [...state.hosts.values()].filter((host) => host.state === "ready" && host.duty === "open");
  const at = new Map(records.map((host, position) => [host.id, position]));
  const width = Math.min(STRIDE, Math.max(DIMENSIONS.length, state.dimensions.length));
  const stay = new Map<StayReason, number>();
  const chosen: MutableAllocation[] = [];
  const moves: boolean[] = [];
  for (const allocation of [...state.allocations.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (allocation.state === "exited" || allocation.state === "failed" || allocation.state === "lost") continue;
    const isHere = at.has(allocation.hostId);
    const reason = isHere ? whyStays(allocation, state.jobs.get(allocation.key)) : "unschedulable_host";
    if (reason !== null) stay.set(reason, (stay.get(reason) ?? 0) + 1);
    if (!isHere) continue;
    chosen.push(allocation);
    moves.push(reason === null);
  }
  const [hosts, items] = [records.length, chosen.length];
  const all = new Float64Array(hosts * width);
  const capacity = new Float64Array(hosts * width);
  const largest = new Float64Array(width);
  records.forEach((host, position) => {
    const { allocatable, free } = state.index.room(host.slot);
    for (let one = 0; one < width; one += 1) {
      const tasks = host.allocations.reduce((sum, { requestClass }) => sum + (requestClass.request[one] as number), 0);
      all[position * width + one] = allocatable[one] as number;
      capacity[position * width + one] = Math.max(0, (free[one] as number) + tasks);
      largest[one] = Math.max(largest[one] as number, allocatable[one] as number);
    }
  });
  const request = new Float64Array(items * width);
  const groupNumbers = new Map<string, number>();
  const groupOf = new Int32Array(items);
  const examples: MutableAllocation[] = [];
  chosen.forEach((allocation, item) => {
    request.set(allocation.requestClass.request.subarray(0, width), item * width);
    // An older version of a job may ask for something else.
    const key = `${allocation.key}@${allocation.jobVersion}`;
    const group = groupNumbers.get(key) ?? groupNumbers.size;
    groupNumbers.set(key, group);
    groupOf[item] = group;
    examples[group] ??= allocation;
  });
  const attributes = records.map(attributesOf);
  const allowed = new Uint8Array(examples.length * hosts);
  const mostPerHost = new Int32Array(examples.length).fill(items);
  examples.forEach(({ requestClass }, group) => {
    const required = requestClass.rules?.require ?? [];
    attributes.forEach(({ lookup }, host) => {
      allowed[group * hosts + host] = required.every(({ expression }) => holds(expression, lookup)) ? 1 : 0;
    });
    for (const { limit } of requestClass.rules?.hostLimits ?? []) mostPerHost[group] = limit;
  });
  const isLevel = wish.goal === "level";
  const share = isLevel ? wish.targetPercent / 100 : 1;
  const problem: Reassignment = {
    ...{ dimensions: width, hosts, items, groups: examples.length, capacity, request, groupOf, mostPerHost, allowed },
    // What others have there makes it no larger.
    comfort: all.map((amount, one) => Math.max(0, Math.floor(amount * share) - amount + (capacity[one] as number))),
    loadWeight: largest.map((amount) => (isLevel && amount > 0 ? HOST_WORTH / amount : 0)),
    openWeight: isLevel ? 0 : HOST_WORTH,
    // Whoever moves needs room there while it still has its room here.
    held: new Uint8Array(width).fill(1),
    first: Int32Array.from(chosen, ({ hostId }) => at.get(hostId) as number),
    fixed: Uint8Array.from(moves, (may) => (may ? 0 : 1)),
    maxMoves: wish.maxMoves,
    ...{ domainOf: new Int32Array(hosts), leastDomains: new Int32Array(examples.length) },
    ...{ zoneOf: new Int32Array(hosts), needs: examples.map(() => []), balances: [] },
    moveCost: new Float64Array(items).fill(HOST_WORTH / (isLevel ? 1_000 : MOVES_PER_HOST)),
    ...{ groupMoveWeight: 0, pathCost: null },
  };
  return {
    problem,
    hosts: records.map(({ id }) => id),
    allocations: chosen.map(({ id }) => id),
    stay,
    allocatable: all,
  };
};
