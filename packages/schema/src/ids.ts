/**
 * Identifiers: what they look like and how they are made.
 *
 * Names that people choose (hosts, projects, jobs) are DNS labels: they are used as NATS subject tokens and path
 * segments, so no dot, no wildcard, no slash can ever be in one. Ids that Berth makes are UUIDv7 (RFC 9562) rendered in
 * Crockford base32 behind a kind: sortable by time, selectable by double click, readable in a log line.
 */
import Type from "#typebox";

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

export type HostId = Branded<string, "HostId">;
export type ProjectName = Branded<string, "ProjectName">;
export type JobName = Branded<string, "JobName">;
export type AllocationId = Branded<string, "AllocationId">;
export type EvaluationId = Branded<string, "EvaluationId">;
/** `project/job`: unique in a cluster. */
export type JobKey = Branded<string, "JobKey">;

const LABEL = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
const LABEL_RULE = "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit";

export const HostIdSchema = Type.Unsafe<HostId>(Type.String({ pattern: LABEL, description: `Host: ${LABEL_RULE}` }));
export const ProjectNameSchema = Type.Unsafe<ProjectName>(
  Type.String({ pattern: LABEL, description: `Project: ${LABEL_RULE}` }),
);
export const JobNameSchema = Type.Unsafe<JobName>(Type.String({ pattern: LABEL, description: `Job: ${LABEL_RULE}` }));
export const AllocationIdSchema = Type.Unsafe<AllocationId>(Type.String({ pattern: "^alloc_[0-9a-hjkmnp-tv-z]{26}$" }));
export const EvaluationIdSchema = Type.Unsafe<EvaluationId>(Type.String({ pattern: "^eval_[0-9a-hjkmnp-tv-z]{26}$" }));

const label = new RegExp(LABEL);
/** True when `text` may name a host, a project or a job. */
export const isLabel = (text: string): boolean => label.test(text);

export const jobKey = (project: ProjectName, job: JobName): JobKey => `${project}/${job}` as JobKey;

/** The stable name of one index of a job, as people write it: `thumbs[17]`. */
export const taskName = (job: JobName, index: number): string => `${job}[${index}]`;

/**
 * Reads a task reference: `thumbs[17]`, `media/thumbs[17]`, or a bare job name, which means index 0.
 * Returns undefined when it is none of these.
 */
export const parseTaskRef = (
  text: string,
): { readonly project: ProjectName | undefined; readonly job: JobName; readonly index: number } | undefined => {
  const match = /^(?:([a-z0-9-]+)\/)?([a-z0-9-]+)(?:\[(\d{1,7})\])?$/.exec(text);
  if (match === null) return undefined;
  const [, project, job, index] = match;
  if (job === undefined || !isLabel(job) || (project !== undefined && !isLabel(project))) return undefined;
  return { project: project as ProjectName | undefined, job: job as JobName, index: Number(index ?? "0") };
};

const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * `prefix_` and 26 characters for a UUIDv7 of this millisecond.
 * `random` must hold 10 bytes; time and randomness are parameters so that a replay makes the same ids.
 */
export const makeId = (prefix: "alloc" | "eval", nowMs: number, random: Uint8Array): string => {
  let value = BigInt(Math.trunc(nowMs)) & 0xffff_ffff_ffffn;
  value = (value << 4n) | 7n;
  const byte = (at: number): bigint => BigInt(random[at] ?? 0);
  value = (value << 12n) | ((byte(0) << 4n) | (byte(1) & 15n));
  value = (value << 2n) | 2n;
  let tail = 0n;
  for (let at = 2; at < 10; at += 1) tail = (tail << 8n) | byte(at);
  value = (value << 62n) | (tail & ((1n << 62n) - 1n));
  let text = "";
  for (let shift = 125n; shift >= 0n; shift -= 5n) text += CROCKFORD[Number((value >> shift) & 31n)];
  return `${prefix}_${text}`;
};
