/** The facts of a state as text, equal for equal states: what replays are compared by. */
import type { ClusterState } from "../src/core/index.ts";
import { inside } from "../src/core/state.ts";

/** Maps become sorted entries, sets sorted lists, objects lose the order of their keys; everything else is JSON. */
const plain = (value: unknown): unknown => {
  if (value instanceof Map)
    return [...value].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)).map((entry) => entry.map(plain));
  if (value instanceof Set) return [...value].map(String).sort();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, plain(item)]),
  );
};

const pick = (record: object, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(names.map((name) => [name, plain((record as Record<string, unknown>)[name])]));

const JOB = [
  "key",
  "version",
  "spec",
  "desired",
  "order",
  "waitingSinceMs",
  "finishedAtMs",
  "exitCode",
  "tasks",
  "counts",
  "activeTasks",
  "submittedBy",
  "submittedAtMs",
];

/** Numbers of request classes count questions, too, and are no facts. */
const withoutClass = (allocation: object): unknown =>
  plain(Object.fromEntries(Object.entries(allocation).filter(([name]) => name !== "requestClass")));

export const dumpState = (state: ClusterState): string =>
  JSON.stringify(
    {
      revision: state.revision,
      epoch: state.epoch,
      jobs: [...state.jobs.values()]
        .map((job) => pick(job, JOB))
        .sort((a, b) => Number(a["order"]) - Number(b["order"])),
      // Their places in the index depend on when they were first seen, and nothing else depends on them.
      hosts: [...state.hosts.values()]
        .map(({ allocations, ...host }) =>
          plain({ ...host, allocations: allocations.map(({ id }) => id), slot: undefined, reservations: undefined }),
        )
        .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
      allocations: [...state.allocations.values()].sort((a, b) => (a.id < b.id ? -1 : 1)).map(withoutClass),
      volumes: plain(state.volumes),
      projects: plain(state.projects),
      idempotency: plain(state.idempotency),
      reservations: [...inside(state).reservations].map(({ job, index, hostId }) => `${job.key}[${index}] ${hostId}`),
      usage: inside(state).usage.facts(),
      finished: [...state.finished],
      activeTaskCount: state.activeTaskCount,
      finishedTaskCount: state.finishedTaskCount,
      ignoredRecords: state.ignoredRecords,
    },
    null,
    1,
  );
