/** One line on each record, for the trace that a failing run is read by. */
import type { LogRecord } from "@berth/schema";

export const describe = (record: LogRecord): string => {
  switch (record.kind) {
    case "allocation_placed": {
      const { project, job, index, attempt, hostId, replaces } = record.placement;
      return `place ${project}/${job}[${index}]#${attempt} on ${hostId}${replaces === null ? "" : ` for ${replaces.slice(-4)}`}`;
    }
    case "room_reserved": {
      const { project, job, index, hostId, victims } = record;
      return `keep ${hostId} for ${project}/${job}[${index}], stop ${victims.map((id) => id.slice(-4)).join(" ")}`;
    }
    case "allocation_reported":
      return `report ${record.report.id.slice(-4)} ${record.report.state} ${record.report.exit?.code ?? ""} by ${record.hostId}`;
    case "allocation_stop":
      return `stop ${record.id.slice(-4)} ${record.reason}`;
    case "job_submitted":
      return `submit ${record.spec.project}/${record.spec.name}@${record.jobVersion} ×${record.spec.count} ${record.spec.kind}`;
    case "job_limits_changed":
    case "job_stopped":
    case "job_forgotten":
      return `${record.kind} ${record.project}/${record.job}`;
    case "leader_confirmed":
      return "confirmed";
    case "cluster_keyed":
      return "keyed";
    case "log_restored":
      return `restored ${record.revision}`;
    case "leader_elected":
      return `leader ${record.instance}`;
    case "join_token_created":
    case "join_token_used":
    case "join_token_revoked":
    case "access_created":
    case "access_revoked":
      return `${record.kind} ${record.id}`;
    case "project_created":
    case "project_changed":
      return `${record.kind} ${record.project} ${JSON.stringify(record.quota)} weight ${record.weight}`;
    case "project_removed":
      return `${record.kind} ${record.project}`;
    case "secret_set":
    case "secret_removed":
      return `${record.kind} ${record.project}/${record.secret}`;
    case "image_named":
    case "image_unnamed":
      return `${record.kind} ${record.image}`;
    case "request_made":
    case "request_refused":
      return `${record.kind} ${record.request}`;
    case "volume_created":
    case "volume_filled":
    case "volume_removing":
    case "volume_removed":
      return `${record.kind} ${record.project}/${record.volume}`;
    case "host_enrolled":
    case "host_registered":
    case "host_disconnected":
    case "host_cordoned":
    case "host_uncordoned":
    case "host_draining":
    case "host_removed":
    case "host_silent":
    case "host_lost":
    case "host_ready":
      return `${record.kind} ${record.hostId}`;
  }
};
