/**
 * What the checker knows of daemons, by itself: on which hosts one may stand, that none stands twice on one, and, once
 * nothing is left to plan, that every host that should have one has a task for it, of which `why` says what it waits for.
 */
import type { JobSpec, Placement } from "@berth/schema";
import { why, whyNot, type ClusterState } from "../src/core/index.ts";
import { ENDED, type CheckedAllocation } from "./checked.ts";
import type { SeenHost, SeenHosts } from "./seen-hosts.ts";

export interface DaemonCheck {
  readonly placed: (placement: Placement, spec: JobSpec, all: Iterable<CheckedAllocation>) => string[];
  readonly missing: (state: ClusterState, nowMs: number) => string[];
}

/** The only rule that simulated daemons have. */
export const ZONE_RULE = 'host.labels.zone == "a"';

export const createDaemonCheck = ({ hosts }: SeenHosts): DaemonCheck => {
  const fits = ({ isKnown, ports: range, zone }: SeenHost, { placement, ports = [] }: JobSpec): boolean =>
    isKnown &&
    (placement?.require?.includes(ZONE_RULE) !== true || zone === "a") &&
    !ports.some(({ port }) => port !== null && range !== null && range.first <= port && port <= range.last);
  const takes = ({ duty, silent }: SeenHost): boolean => !silent && (duty === "open" || duty === "closed");

  return {
    placed: (placement, spec, all) => {
      const name = `${placement.project}/${placement.job}[${placement.index}]`;
      const host = hosts.get(placement.hostId);
      if (host === undefined) return [`${name} placed on ${placement.hostId}, which is none`];
      if (spec.kind !== "daemon") {
        return host.duty === "open" ? [] : [`${name} placed on ${placement.hostId}, which is ${host.duty}`];
      }
      const wrong: string[] = [];
      if (!takes(host)) wrong.push(`${name} placed on ${placement.hostId}, which is ${host.duty}`);
      if (!fits(host, spec)) wrong.push(`${name} placed on ${placement.hostId} against its rule`);
      for (const { placement: other, rank, spec: its } of all) {
        const isSame = other.job === placement.job && other.project === placement.project && its.kind === "daemon";
        if (rank === ENDED || !isSame || other.id === placement.id || other.hostId !== placement.hostId) continue;
        wrong.push(`${name} placed on ${placement.hostId} beside [${other.index}]`);
      }
      return wrong;
    },
    missing: (state, nowMs) => {
      const wrong: string[] = [];
      for (const { desired, key, name, project, spec, tasks, version } of state.jobs.values()) {
        if (spec.kind !== "daemon" || desired === "stop") continue;
        for (const [id, host] of hosts) {
          const its = tasks.filter(({ hostId }) => hostId === id);
          const isWanted = takes(host) && fits(host, spec);
          if (its.length > 1) wrong.push(`${key} has ${its.length} tasks for ${id}`);
          const [task] = its;
          if (isWanted && task === undefined) wrong.push(`${key} has no task for ${id}`);
          if (task === undefined) continue;
          const active = task.active === null ? undefined : state.allocations.get(task.active);
          if (isWanted && active === undefined && task.status === "stopped") wrong.push(`${key} is given up on ${id}`);
          if (takes(host) && !fits(host, spec) && active?.desired === "run" && active.jobVersion === version)
            wrong.push(`${key} stays on ${id} against its rule`);
          if (active !== undefined || task.status !== "open") continue;
          const answer = why(state, project, name, task.index, nowMs);
          const kind = answer.ok ? answer.value.outcome.kind : "nothing";
          if (kind !== "held" && kind !== "blocked") wrong.push(`why says ${kind} of ${key}[${task.index}]`);
          const not = whyNot(state, project, name, task.index, id, nowMs);
          const { hold } = answer.ok && answer.value.outcome.kind === "held" ? answer.value.outcome : {};
          if (hold?.kind === "previous_stopping" && (!not.ok || not.value.score !== null))
            wrong.push(
              `why says that ${key}[${task.index}] waits for its predecessor, and why-not that ${id} could take it`,
            );
          if (answer.ok && answer.value.lacking?.hosts.some(({ hostId }) => hostId === id) !== true)
            wrong.push(`why ${key} does not say that ${id} lacks it`);
        }
      }
      return wrong;
    },
  };
};
