/**
 * What the checker knows of daemons, by itself: on which hosts one may stand, that none stands twice on one, and, once
 * nothing is left to plan, that every host that should have one has a task for it, of which `why` says what it waits for.
 */
import type { HostId, JobSpec, LogRecord, Placement, PortRange } from "@berth/schema";
import { why, type ClusterState } from "../src/core/index.ts";
import { ENDED, type CheckedAllocation } from "./checked.ts";

interface Seen {
  zone: string | null;
  ports: PortRange | null;
  duty: "open" | "closed" | "emptied" | "empty";
  silent: boolean;
}

export interface DaemonCheck {
  readonly saw: (record: LogRecord) => void;
  readonly placed: (placement: Placement, spec: JobSpec, all: Iterable<CheckedAllocation>) => string[];
  readonly missing: (state: ClusterState, nowMs: number) => string[];
}

/** The only rule that simulated daemons have. */
export const ZONE_RULE = 'host.labels.zone == "a"';

export const createDaemonCheck = (): DaemonCheck => {
  const hosts = new Map<HostId, Seen>();
  const fits = ({ ports: range, zone }: Seen, { placement, ports = [] }: JobSpec): boolean =>
    zone !== null &&
    (placement?.require?.includes(ZONE_RULE) !== true || zone === "a") &&
    !ports.some(({ port }) => port !== null && range !== null && range.first <= port && port <= range.last);
  const takes = ({ duty, silent }: Seen): boolean => !silent && (duty === "open" || duty === "closed");

  const saw = (record: LogRecord): void => {
    if (record.kind === "host_enrolled")
      hosts.set(record.hostId, { zone: null, ports: null, duty: "open", silent: false });
    const host = "hostId" in record && record.hostId !== null ? hosts.get(record.hostId) : undefined;
    if (host === undefined || !("hostId" in record) || record.hostId === null) return;
    if (record.kind === "host_registered") {
      host.zone = record.inventory.labels?.["zone"] ?? "";
      host.ports = record.capacity.ports ?? null;
    }
    if (record.kind === "host_uncordoned") host.duty = "open";
    if (record.kind === "host_draining") host.duty = "emptied";
    if (record.kind === "host_cordoned")
      host.duty = host.duty === "emptied" && record.by === "drain" ? "empty" : "closed";
    if (record.kind === "host_removed") hosts.delete(record.hostId);
    if (record.kind === "host_ready") host.silent = false;
    if (record.kind === "host_disconnected" || record.kind === "host_lost") host.silent = true;
  };

  return {
    saw,
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
          if (answer.ok && answer.value.lacking?.hosts.some(({ hostId }) => hostId === id) !== true)
            wrong.push(`why ${key} does not say that ${id} lacks it`);
        }
      }
      return wrong;
    },
  };
};
