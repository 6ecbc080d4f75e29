/** What a state keeps counted, counted again from its facts. Slow and plain on purpose. */
import { isTerminal, priorityOf } from "@berth/schema";
import type { ClusterState } from "../src/core/index.ts";
import { NOW } from "../src/core/ledger.ts";
import { reservedOn } from "../src/core/reserved-on.ts";
import { inside } from "../src/core/state.ts";
import { STRIDE } from "../src/core/vector.ts";

const AMOUNTS = ["cpuMillis", "memoryBytes", "pids"] as const;

const jobErrors = (state: ClusterState): string[] => {
  const errors: string[] = [];
  for (const job of state.jobs.values()) {
    const total = Object.values(job.counts).reduce((sum, count) => sum + count, 0);
    const tasks = job.spec.kind === "daemon" ? job.tasks.length : job.spec.count;
    if (total !== tasks) errors.push(`${job.key}: counts add up to ${total}, not ${tasks}`);
    const holding = [...state.allocations.values()].filter(({ key, state: at }) => key === job.key && !isTerminal(at));
    if (holding.length !== job.activeTasks)
      errors.push(`${job.key}: ${holding.length} active, counted ${job.activeTasks}`);
    const indices = new Set(holding.map(({ index }) => index));
    if (indices.size !== holding.length) errors.push(`${job.key}: an index holds two allocations`);
    for (const status of ["succeeded", "failed", "stopped"] as const) {
      const found = job.tasks.filter((task) => task.status === status).length;
      if (found !== job.counts[status])
        errors.push(`${job.key}: ${found} tasks ${status}, counted ${job.counts[status]}`);
    }
    const open = job.tasks.filter((task) => task.status === "open").length;
    const mayFinish = job.spec.kind !== "daemon" || job.desired === "stop";
    if ((job.finishedAtMs !== null) !== (open === 0 && mayFinish)) {
      errors.push(`${job.key}: finished at ${job.finishedAtMs} with ${open} open tasks, ${holding.length} allocations`);
    }
  }
  return errors;
};

const hostErrors = (state: ClusterState): string[] => {
  const errors: string[] = [];
  for (const host of state.hosts.values()) {
    const here = [...state.allocations.values()].filter(
      ({ hostId, state: at }) => hostId === host.id && !isTerminal(at),
    );
    if (here.length !== host.allocations.length)
      errors.push(`${host.id}: ${here.length} allocations, counted ${host.allocations.length}`);
    const reserved = reservedOn(state, host.id);
    const kept = [...state.volumes.values()].filter(({ hostId }) => hostId === host.id);
    const disk = kept.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
    if (disk !== (reserved.more?.["diskBytes"] ?? 0)) {
      errors.push(`${host.id}: volumes of ${disk} bytes, counted ${reserved.more?.["diskBytes"]}`);
    }
    for (const amount of AMOUNTS) {
      const sum = here.reduce((total, { spec }) => total + spec.requests[amount], 0);
      if (sum !== reserved[amount]) errors.push(`${host.id}: ${amount} ${sum}, counted ${reserved[amount]}`);
    }
  }
  return errors;
};

/** What quotas and fair share go by. */
const projectErrors = (state: ClusterState): string[] => {
  const { reservations, usage } = inside(state);
  const names = new Set([...state.allocations.values(), ...state.jobs.values()].map(({ project }) => project));
  return [...names].flatMap((name) => {
    const running = [...state.allocations.values()].filter(
      ({ project, state: at }) => project === name && !isTerminal(at),
    );
    const kept = [...reservations].filter(({ job }) => job.project === name);
    const [held, keeps] = [usage.heldBy(name), usage.keptFor(name)];
    const errors =
      running.length === (held?.tasks ?? 0) && kept.length === (keeps?.tasks ?? 0)
        ? []
        : [`${name}: ${running.length} and ${kept.length} tasks, counted ${held?.tasks} and ${keeps?.tasks}`];
    AMOUNTS.forEach((amount, at) => {
      const sums = [running, kept.map(({ job }) => job)].map((all) =>
        all.reduce((sum, { spec }) => sum + spec.requests[amount], 0),
      );
      const counted = [held?.held[at] ?? 0, keeps?.held[at] ?? 0];
      if (sums.join() !== counted.join()) errors.push(`${name}: ${amount} ${sums.join()}, counted ${counted.join()}`);
    });
    return errors;
  });
};

/** What could be given up on each host, by priority. */
const ledgerErrors = (state: ClusterState): string[] => {
  const { index, ledger } = inside(state);
  ledger.refresh(inside(state), new Set());
  return [...state.hosts.values()].flatMap((host) => {
    const row = index.slotOf(host.id) * STRIDE;
    return ledger.levels().flatMap((level) => {
      const given = host.allocations.filter(
        ({ desired, spec }) => (desired === "stop" ? NOW : priorityOf(spec)) <= level,
      );
      return AMOUNTS.flatMap((amount, at) => {
        const sum = given.reduce((total, { spec }) => total + spec.requests[amount], 0);
        const counted = ledger.upTo(level)[row + at];
        return sum === counted ? [] : [`${host.id}: ${amount} ${sum} up to priority ${level}, counted ${counted}`];
      });
    });
  });
};

/** A sentence for everything that does not add up. */
export const countErrors = (state: ClusterState): string[] => {
  const active = [...state.jobs.values()].filter((job) => job.finishedAtMs === null);
  const tasks = active.reduce((sum, job) => sum + job.tasks.length, 0);
  const total = tasks === state.activeTaskCount ? [] : [`${tasks} unfinished tasks, counted ${state.activeTaskCount}`];
  return [...total, ...jobErrors(state), ...hostErrors(state), ...ledgerErrors(state), ...projectErrors(state)];
};
