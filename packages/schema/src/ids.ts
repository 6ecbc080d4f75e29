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

/** Far more than there are jobs. */
const MAX_KEYS = 65_536;
const keys = new Map<ProjectName, Map<JobName, JobKey>>();
let keyCount = 0;

/**
 * The key of a job: mostly the very string that was made the last time, since whoever looks something up by a new one has to
 * join, to hash and to compare it letter by letter.
 */
export const jobKey = (project: ProjectName, job: JobName): JobKey => {
  const known = keys.get(project)?.get(job);
  if (known !== undefined) return known;
  if (keyCount === MAX_KEYS) keys.clear();
  keyCount = keyCount === MAX_KEYS ? 1 : keyCount + 1;
  const key = `${project}/${job}` as JobKey;
  // Names that were cut out of something longer, as of an address, would keep all of that.
  const [ownProject, ownJob] = [key.slice(0, project.length) as ProjectName, key.slice(project.length + 1) as JobName];
  const jobs = keys.get(ownProject);
  if (jobs === undefined) keys.set(ownProject, new Map([[ownJob, key]]));
  else jobs.set(ownJob, key);
  return key;
};

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

const CROCKFORD = Array.from("0123456789abcdefghjkmnpqrstvwxyz", (letter) => letter.charCodeAt(0));

/**
 * `prefix_` and 26 characters for a UUIDv7 of this millisecond.
 * `random` must hold 10 bytes; time and randomness are parameters so that a replay makes the same ids. Made for every
 * placement, so without numbers longer than a word, and as one flat string.
 */
export const makeId = (prefix: "alloc" | "eval", nowMs: number, random: Uint8Array): string => {
  const ms = Math.trunc(nowMs);
  const high = Math.floor(ms / 2 ** 32);
  const [first = 0, second = 0, third = 0] = random;
  const octets = [high >> 8, high, ms >>> 24, ms >>> 16, ms >>> 8, ms];
  octets.push(0x70 | (first >> 4), (first << 4) | (second & 15), 0x80 | (third & 63));
  for (let at = 3; at < 10; at += 1) octets.push(random[at] ?? 0);
  const codes = prefix === "alloc" ? [97, 108, 108, 111, 99, 95] : [101, 118, 97, 108, 95];
  // Before the 128 bits stand two that are 0, so that they make whole characters.
  let [held, bits] = [0, 2];
  for (const octet of octets) {
    held = (held << 8) | (octet & 255);
    for (bits += 8; bits >= 5; bits -= 5) codes.push(CROCKFORD[(held >> (bits - 5)) & 31] as number);
    held &= 31;
  }
  return String.fromCharCode(...codes);
};
