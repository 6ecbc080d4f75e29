/**
 * Which tasks should move where, so that fewer hosts are in use or none is too full: found by annealing on the cluster as
 * it is, for so many tries as the caller grants, and told as a plan. Nothing is changed by it.
 */
import type { HostId, RebalancePlan } from "@berth/schema";
import { inside, type ClusterState } from "../state.ts";
import { anneal } from "./anneal.ts";
import { problemOf, type ClusterProblem, type Wish } from "./cluster-problem.ts";
import type { Reassignment } from "./reassignment.ts";
import { untangled } from "./untangle.ts";

export interface RebalanceSearch {
  /** Tries so many moves; `done` is the share of all tries that came before, 0 … 1. Between two calls the state may change. */
  readonly run: (tries: number, done: number) => void;
  readonly plan: () => RebalancePlan;
}

/** Requests for which the plan says how many more would fit. */
const ROOM_ROWS = 4;

const inUse = ({ items, hosts }: Reassignment, hostOf: Int32Array): Uint8Array => {
  const used = new Uint8Array(hosts);
  for (let item = 0; item < items; item += 1) used[hostOf[item] as number] = 1;
  return used;
};

const leftOn = ({ items, dimensions, capacity, request }: Reassignment, hostOf: Int32Array): Float64Array => {
  const left = Float64Array.from(capacity);
  for (let item = 0; item < items; item += 1) {
    const to = (hostOf[item] as number) * dimensions;
    for (let at = 0; at < dimensions; at += 1) {
      left[to + at] = (left[to + at] as number) - (request[item * dimensions + at] as number);
    }
  }
  return left;
};

const fullestOf = ({ allocatable }: ClusterProblem, left: Float64Array): number => {
  let fullest = 0;
  for (let at = 0; at < left.length; at += 1) {
    const all = allocatable[at] as number;
    if (all > 0) fullest = Math.max(fullest, 1 - (left[at] as number) / all);
  }
  return Math.round(fullest * 10_000) / 10_000;
};

const places = ({ hosts, dimensions }: Reassignment, left: Float64Array, request: Float64Array): number => {
  let sum = 0;
  for (let host = 0; host < hosts; host += 1) {
    let fits = Number.MAX_SAFE_INTEGER;
    for (let at = 0; at < dimensions; at += 1) {
      const asked = request[at] as number;
      if (asked > 0) fits = Math.min(fits, Math.floor((left[host * dimensions + at] as number) / asked));
    }
    if (fits !== Number.MAX_SAFE_INTEGER) sum += Math.max(0, fits);
  }
  return sum;
};

/** The requests that most tasks have, the most frequent first. */
const frequent = ({ items, dimensions, request }: Reassignment): Float64Array[] => {
  const counts = new Map<string, { readonly request: Float64Array; count: number }>();
  for (let item = 0; item < items; item += 1) {
    const asked = request.slice(item * dimensions, (item + 1) * dimensions);
    const entry = counts.get(asked.join(",")) ?? { request: asked, count: 0 };
    entry.count += 1;
    counts.set(asked.join(","), entry);
  }
  return [...counts.values()]
    .sort((a, b) => b.count - a.count)
    .slice(0, ROOM_ROWS)
    .map((entry) => entry.request);
};

const tell = (
  state: ClusterState,
  revision: number,
  cluster: ClusterProblem,
  wish: Wish,
  hostOf: Int32Array,
): RebalancePlan => {
  const { allocations, hosts, problem, stay } = cluster;
  const { first } = problem;
  const [before, after] = [inUse(problem, first), inUse(problem, hostOf)];
  const emptied = hosts.filter((_, host) => before[host] === 1 && after[host] === 0);
  const gone = new Set<HostId>(emptied);
  const moves = allocations.flatMap((id, item) => {
    const allocation = inside(state).allocations.get(id);
    const [from, to] = [hosts[first[item] as number] as HostId, hosts[hostOf[item] as number] as HostId];
    if (from === to || allocation === undefined) return [];
    const { project, job, index } = allocation;
    return [{ allocation: id, project, job, index, from, to }];
  });
  // What empties a host comes first, host by host: a plan that is broken off has then freed whole hosts.
  moves.sort(
    (a, b) => Number(gone.has(b.from)) - Number(gone.has(a.from)) || (a.from < b.from ? -1 : a.from > b.from ? 1 : 0),
  );
  const [leftBefore, leftAfter] = [leftOn(problem, first), leftOn(problem, hostOf)];
  const sum = (used: Uint8Array): number => used.reduce((total, one) => total + one, 0);
  return {
    revision,
    goal: wish.goal,
    moves,
    emptied,
    hostsInUse: { before: sum(before), after: sum(after) },
    fullest: { before: fullestOf(cluster, leftBefore), after: fullestOf(cluster, leftAfter) },
    room: frequent(problem).map((request) => ({
      cpuMillis: request[0] ?? 0,
      memoryBytes: request[1] ?? 0,
      pids: request[2] ?? 0,
      before: places(problem, leftBefore, request),
      after: places(problem, leftAfter, request),
    })),
    stay: [...stay].map(([reason, tasks]) => ({ reason, tasks })),
  };
};

/** The same state, wish and tries give the same plan. */
export const searchRebalance = (state: ClusterState, wish: Wish, seed = 1): RebalanceSearch => {
  const { revision } = state;
  const cluster = problemOf(state, wish);
  const search = anneal(cluster.problem, seed);
  return {
    run: search.run,
    plan: () => tell(state, revision, cluster, wish, untangled(cluster.problem, search.best().hostOf)),
  };
};
