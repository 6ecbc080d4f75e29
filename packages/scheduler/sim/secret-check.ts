/** What the log says of secrets, read by itself: nobody may refer to one that is not there. */
import { isTerminal, type JobSpec, type LogRecord, type Placement } from "@berth/schema";

const uses = ({ project, secrets = [] }: JobSpec): string[] => secrets.map(({ secret }) => `${project}/${secret}`);
const jobOf = ({ project, job }: Placement): string => `${project}/${job}`;

export const createSecretCheck = () => {
  const known = new Set<string>();
  const jobs = new Map<string, { readonly spec: JobSpec; readonly version: number }>();
  /** What is to run, or runs. */
  const wanted = new Map<string, Placement>();

  const removed = (key: string): string[] => {
    if (!known.delete(key)) return [`${key} removed, but there is no such secret`];
    return [...wanted.values()].flatMap((placement) => {
      const job = jobs.get(jobOf(placement));
      if (job?.version !== placement.jobVersion || !uses(job.spec).includes(key)) return [];
      return [`${key} removed while ${placement.id} is to have it`];
    });
  };

  const check = (record: LogRecord): string[] => {
    switch (record.kind) {
      case "secret_set":
        known.add(`${record.project}/${record.secret}`);
        return [];
      case "secret_removed":
        return removed(`${record.project}/${record.secret}`);
      case "job_submitted": {
        const { spec, jobVersion: version } = record;
        jobs.set(`${spec.project}/${spec.name}`, { spec, version });
        return uses(spec)
          .filter((secret) => !known.has(secret))
          .map((secret) => `${spec.name} refers to ${secret}, which is not there`);
      }
      case "allocation_placed":
        wanted.set(record.placement.id, record.placement);
        wanted.delete(record.placement.replaces ?? "");
        return [];
      case "allocation_reported":
        if (isTerminal(record.report.state)) wanted.delete(record.report.id);
        return [];
      case "allocation_stop":
        wanted.delete(record.id);
        return [];
      case "host_removed":
        for (const { id, hostId } of wanted.values()) if (hostId === record.hostId) wanted.delete(id);
        return [];
      default:
        return [];
    }
  };
  return (records: readonly LogRecord[]): string[] => records.flatMap(check);
};
