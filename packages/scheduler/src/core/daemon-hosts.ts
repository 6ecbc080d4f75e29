/** Which hosts a daemon does not run on, and why: what `why` says of all of it. */
import { MAX_LACKING, type Why } from "@berth/schema";
import { AHEAD, explainTask, noIds } from "./explain.ts";
import { explainPlanned, keyOf, plannedOf } from "./planned-task.ts";
import { whyNoneOn } from "./daemons.ts";
import { planOn } from "./plan.ts";
import type { MutableHost, MutableJob, MutableState } from "./state.ts";
import { tentatively } from "./tentative.ts";

type Lacking = NonNullable<Why["lacking"]>;

/** In the order of their names; undefined of what is no daemon, or not to run. */
export const lackingHosts = (state: MutableState, job: MutableJob, nowMs: number): Lacking | undefined => {
  const { daemon } = job;
  if (daemon === null || job.desired === "stop") return undefined;
  const lacks = [...state.hosts.values()]
    .filter(({ id }) => !isUp(state, job, daemon.places.get(id)))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  if (lacks.length === 0) return { total: 0, hosts: [] };
  const env = { nowMs, makeAllocationId: noIds };
  // One plan for all of them: what would be placed by it is about to be.
  return tentatively(state.index, (tentative) =>
    planOn(state, tentative, env, AHEAD, ({ records }, serving) => {
      const planned = records.map(plannedOf).filter((one) => one !== null && keyOf(one) === job.key);
      const sentenceOf = (host: MutableHost): string => {
        const task = job.tasks[daemon.places.get(host.id) ?? -1];
        const one = planned.find((other) => other?.index === task?.index);
        if (one !== undefined && one !== null) return explainPlanned(state, job, one, undefined).sentence;
        if (task !== undefined && task.status !== "stopped")
          return explainTask(state, tentative, job, task, nowMs, serving).sentence;
        return whyNoneOn(state, job, host) ?? `${host.id} has just come`;
      };
      const hosts = lacks.slice(0, MAX_LACKING).map((host) => ({ hostId: host.id, sentence: sentenceOf(host) }));
      return { total: lacks.length, hosts };
    }),
  );
};

/** It has an attempt of this version that is not to stop. */
const isUp = (state: MutableState, job: MutableJob, index: number | undefined): boolean => {
  const active = index === undefined ? null : (job.tasks[index]?.active ?? null);
  const allocation = active === null ? undefined : state.allocations.get(active);
  return allocation?.jobVersion === job.version && allocation.desired === "run";
};
