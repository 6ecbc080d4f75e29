/**
 * A transaction of the log as events: one for each record. Pure rendering. Records of allocations name them by their ids
 * only; where `locate` does not know one any more, its event stands without project and job.
 */
import {
  formatBytes,
  formatCpu,
  formatDuration,
  projectOfImage,
  quotaEntries,
  type AllocationId,
  type AllocationReport,
  type Event,
  type HostId,
  type JobName,
  type JobSpec,
  type LogRecord,
  type ProjectName,
  type Transaction,
} from "@berth/schema";
import { quotaAmount } from "./sentences.ts";

/** What an allocation belongs to. */
export interface Whereabouts {
  readonly project: ProjectName;
  readonly job: JobName;
  readonly index: number;
  readonly hostId: HostId;
}
export type Locate = (id: AllocationId) => Whereabouts | undefined;

type Subject = Partial<Pick<Event, "project" | "job" | "index" | "allocation" | "host">>;
type Told = readonly [message: string, subject: Subject];

const submitted = ({ count, image, kind }: JobSpec, version: number): string => {
  const tasks = kind === "daemon" ? "one task for each host" : count === 1 ? "1 task" : `${count} tasks`;
  return `version ${version}: ${tasks} of ${image}`;
};

const reported = ({ state, reason, exit }: AllocationReport): string => {
  if (exit === null) return `${state} (${reason})`;
  const detail = exit.detail === null ? "" : `: ${exit.detail}`;
  const how = exit.signal === null ? `with code ${exit.code}` : `by signal ${exit.signal}`;
  return `${state} ${how} (${reason})${detail}`;
};

const imageAbout = (image: string): Subject => {
  const project = projectOfImage(image);
  return project === undefined ? {} : { project };
};

const told = (record: LogRecord, locate: Locate): Told => {
  const allocation = (id: AllocationId): Subject => {
    const found = locate(id);
    if (found === undefined) return { allocation: id };
    return { allocation: id, project: found.project, job: found.job, index: found.index, host: found.hostId };
  };
  switch (record.kind) {
    case "leader_elected":
      return [`${record.instance} leads from here on`, {}];
    case "leader_confirmed":
      return ["still leads", {}];
    case "cluster_keyed":
      return ["the cluster has got its key", {}];
    case "log_restored":
      return [`a backup was restored that went up to ${record.revision}`, {}];
    case "job_submitted":
      return [submitted(record.spec, record.jobVersion), { project: record.spec.project, job: record.spec.name }];
    case "job_limits_changed":
      return [
        `version ${record.jobVersion}: what runs goes on with new limits (by ${record.by})`,
        { project: record.project, job: record.job },
      ];
    case "job_stopped":
      return ["is stopped", { project: record.project, job: record.job }];
    case "job_forgotten":
      return ["finished long ago, and is forgotten", { project: record.project, job: record.job }];
    case "host_enrolled":
      return ["is admitted", { host: record.hostId }];
    case "host_registered": {
      const { cpuMillis, memoryBytes } = record.capacity.allocatable;
      const has = `${formatCpu(cpuMillis)} CPUs and ${formatBytes(memoryBytes)} to give away`;
      return [`has said hello, with ${has}`, { host: record.hostId }];
    }
    case "host_disconnected":
      return [`silent for ${formatDuration(record.silentMs)}: it gets nothing new`, { host: record.hostId }];
    case "host_lost":
      return [`silent for ${formatDuration(record.silentMs)}: its tasks are placed elsewhere`, { host: record.hostId }];
    case "host_silent":
      return [
        `silent for ${formatDuration(record.silentMs)}: what waits no longer is placed elsewhere`,
        { host: record.hostId },
      ];
    case "host_ready":
      return ["answers again", { host: record.hostId }];
    case "host_cordoned":
      return ["takes nothing new", { host: record.hostId }];
    case "host_uncordoned":
      return ["takes work again", { host: record.hostId }];
    case "host_draining":
      return ["gives away what it runs", { host: record.hostId }];
    case "host_removed":
      return ["is removed, and its key revoked", { host: record.hostId }];
    case "join_token_created":
      return [`a machine may join with token ${record.id}`, { host: record.hostId }];
    case "join_token_used":
      return [`has joined with token ${record.id}`, { host: record.hostId }];
    case "join_token_revoked":
      return [`nobody can join with token ${record.id} any more`, {}];
    case "access_created": {
      const where = record.projects === null ? "everywhere" : `in ${record.projects.join(", ")}`;
      return [`token ${record.name} is ${record.role} ${where}`, {}];
    }
    case "access_revoked":
      return [`token ${record.name} is revoked`, {}];
    case "project_created":
    case "project_changed": {
      const { project, quota, unconfinedSeccomp, weight } = record;
      const limits = quotaEntries(quota).map(([name, most]) => quotaAmount(name, most));
      const what = limits.length === 0 ? "without a quota" : `with a quota of ${limits.join(", ")}`;
      return [
        `is ${record.kind === "project_created" ? "declared" : "changed"}, ${what} and weight ${weight}${unconfinedSeccomp === true ? "; its jobs may do without the filter of system calls" : ""}`,
        { project },
      ];
    }
    case "project_removed":
      return ["is declared no longer, and without a quota", { project: record.project }];
    case "secret_set":
      return [`the secret ${record.secret} is set`, { project: record.project }];
    case "secret_removed":
      return [`the secret ${record.secret} is removed`, { project: record.project }];
    case "image_named":
      return [`the image ${record.image} is ${record.manifest}`, imageAbout(record.image)];
    case "image_unnamed":
      return [`the image ${record.image} is nothing any more`, imageAbout(record.image)];
    case "allocation_placed": {
      const { id, project, job, index, attempt, hostId, replaces } = record.placement;
      const instead = replaces === null ? "" : ", in the place of one on a lost host";
      return [`attempt ${attempt} on ${hostId}${instead}`, { project, job, index, allocation: id, host: hostId }];
    }
    case "room_reserved": {
      const { hostId, index, job, project, victims } = record;
      const whose = victims.length === 0 ? "" : `, for which ${victims.length} less important shall stop`;
      return [`gets room on ${hostId}${whose}`, { project, job, index, host: hostId }];
    }
    case "allocation_reported":
      return [reported(record.report), { ...allocation(record.report.id), host: record.hostId }];
    case "allocation_stop":
      return [`shall stop (${record.reason})`, allocation(record.id)];
    case "volume_created": {
      const { from, hostId, project, volume } = record;
      const copy = from === null ? "" : ` as a copy of ${from}`;
      return [`the volume ${volume} is made on ${hostId}${copy}`, { project, host: hostId }];
    }
    case "request_made": {
      const { project, job, host, request } = record;
      return [`${request} was asked for`, { project, job, host }];
    }
    case "request_refused": {
      const { project, job, host, request, code } = record;
      return [`${request} was refused (${code})`, { project, job, host }];
    }
    case "volume_filled":
      return [`the volume ${record.volume} has its content`, { project: record.project }];
    case "volume_removing":
      return [`the volume ${record.volume} shall be deleted (${record.by})`, { project: record.project }];
    case "volume_removed":
      return [`the volume ${record.volume} is gone`, { project: record.project }];
  }
};

export const eventsOf = (sequence: number, transaction: Transaction, locate: Locate): Event[] => {
  const { atMs, cause, origin } = transaction;
  return transaction.records.flatMap((record, part) => {
    // As often as leases need it, and no news to anybody.
    if (record.kind === "leader_confirmed") return [];
    const [message, { project = null, job = null, index = null, allocation = null, host = null }] = told(
      record,
      locate,
    );
    const { kind } = record;
    return { sequence, part, atMs, kind, message, project, job, index, allocation, host, cause, origin };
  });
};
