/** The questions that several verbs ask: whole lists over their pages, one job, the allocations of one task. */
import {
  AllocationListSchema,
  ChangeListSchema,
  decoder,
  HostListSchema,
  JobListSchema,
  JobViewSchema,
  KeptLayerListSchema,
  OutputListSchema,
  parseTaskRef,
  ProjectListSchema,
  routePath,
  Routes,
  isLabel,
  problem,
  VolumeListSchema,
  type AllocationList,
  type AllocationView,
  type ChangeList,
  type Decoder,
  type HostList,
  type JobList,
  type JobView,
  type KeptLayerList,
  type OutputList,
  type ProjectList,
  type VolumeList,
} from "@berth/schema";
import { Exit, Failure, failureOf } from "../failure.ts";
import type { Answer, CallOptions, Client, Query } from "./client.ts";

const PAGE = 1000;
/** More pages than the largest cluster has: a server that never ends its list must not keep us forever. */
const MAX_PAGES = 10_000;

const decodeJobs = decoder(JobListSchema);
const decodeHosts = decoder(HostListSchema);
const decodeAllocations = decoder(AllocationListSchema);
const decodeProjects = decoder(ProjectListSchema);
const decodeVolumes = decoder(VolumeListSchema);
const decodeLayers = decoder(KeptLayerListSchema);
const decodeChanges = decoder(ChangeListSchema);
const decodeOutputs = decoder(OutputListSchema);
export const decodeJob = decoder(JobViewSchema);

interface Page<T> {
  readonly items: T[];
  readonly next: string | null;
  readonly revision: number;
}

/** All pages as one document of the same shape; `revision` is the first page's. */
const allPages = async <T, P extends Page<T>>(
  client: Client,
  decode: Decoder<P>,
  path: string,
  options: CallOptions,
): Promise<{ items: T[]; next: null; revision: number }> => {
  const items: T[] = [];
  let cursor: string | undefined;
  let revision: number | undefined;
  for (let count = 0; count < MAX_PAGES; count += 1) {
    const query: Query = { ...options.query, limit: PAGE, cursor };
    const { value } = await client.get(decode, path, { ...options, query });
    items.push(...value.items);
    revision ??= value.revision;
    if (value.next === null) return { items, next: null, revision };
    cursor = value.next;
  }
  throw failureOf(problem("internal", `${path} has no end`));
};

export const listJobs = (client: Client, query: Query, options: CallOptions = {}): Promise<JobList> =>
  allPages(client, decodeJobs, Routes.jobs, { ...options, query });

export const listHosts = (client: Client, options: CallOptions = {}): Promise<HostList> =>
  allPages(client, decodeHosts, Routes.hosts, options);

export const listAllocations = (client: Client, query: Query, options: CallOptions = {}): Promise<AllocationList> =>
  allPages(client, decodeAllocations, Routes.allocations, { ...options, query });

export const listProjects = (client: Client): Promise<ProjectList> =>
  allPages(client, decodeProjects, Routes.projects, {});

export const listVolumes = (client: Client, query: Query): Promise<VolumeList> =>
  allPages(client, decodeVolumes, Routes.volumes, { query });

/** What hosts keep of ended tasks. */
export const listLayers = async (client: Client, query: Query): Promise<KeptLayerList> =>
  (await client.get(decodeLayers, Routes.layers, { query })).value;

export interface JobRef {
  readonly project: string;
  readonly job: string;
}
export interface TaskRef extends JobRef {
  readonly index: number;
}

export const getJob = (client: Client, ref: JobRef, options: CallOptions = {}): Promise<Answer<JobView>> =>
  client.get(decodeJob, routePath(Routes.job, { project: ref.project, job: ref.job }), options);

/** Attempts of one task, newest first. */
export const attemptsOf = async (
  client: Client,
  ref: TaskRef,
  options: CallOptions = {},
): Promise<AllocationView[]> => {
  const { items } = await listAllocations(client, { project: ref.project, job: ref.job, index: ref.index }, options);
  return items
    .filter((one) => one.project === ref.project && one.job === ref.job && one.index === ref.index)
    .toSorted((a, b) => b.jobVersion - a.jobVersion || b.attempt - a.attempt || (a.id < b.id ? 1 : -1));
};

/** Everything a container has changed of its image. */
export const changesOf = async (
  client: Client,
  allocation: string,
  options: CallOptions = {},
): Promise<ChangeList["changes"]> => {
  const changes: ChangeList["changes"] = [];
  let after: string | undefined;
  for (let count = 0; count < MAX_PAGES; count += 1) {
    const path = routePath(Routes.allocationChanges, { allocation });
    const { value }: Answer<ChangeList> = await client.get(decodeChanges, path, { ...options, query: { after } });
    changes.push(...value.changes);
    // A page that does not move on would be asked for forever.
    if (value.next === null || value.next === after) break;
    after = value.next;
  }
  return changes;
};

/** Every file an allocation has handed in, sorted by path. */
export const outputsOf = async (
  client: Client,
  allocation: string,
  options: CallOptions = {},
): Promise<OutputList["files"]> => {
  const files: OutputList["files"] = [];
  let offset: number | null = 0;
  for (let count = 0; offset !== null && count < MAX_PAGES; count += 1) {
    const page: Answer<OutputList> = await client.get(
      decodeOutputs,
      routePath(Routes.allocationOutputs, { allocation }),
      {
        ...options,
        query: { offset },
      },
    );
    files.push(...page.value.files);
    // A page that does not move on would be asked for forever.
    if (page.value.next !== null && page.value.next <= offset) break;
    offset = page.value.next;
  }
  return files;
};

/** `job` or `project/job`, as people write it. */
export const jobRef = (text: string, project: string): JobRef => {
  const parts = text.split("/");
  const [first = "", second] = parts;
  const ref = second === undefined ? { project, job: first } : { project: first, job: second };
  if (parts.length <= 2 && isLabel(ref.project) && isLabel(ref.job)) return ref;
  const task = parseTaskRef(text);
  throw new Failure(`"${text}" is not a job`, {
    exit: Exit.usage,
    detail:
      task === undefined ? "write it like thumbs or media/thumbs" : "that is one task; write the job's name alone",
    next: ["berth jobs"],
  });
};

/** `thumbs[17]`, `media/thumbs[17]`, or a job's name for its only (or first) task. */
export const taskRef = (text: string, project: string): TaskRef => {
  const ref = parseTaskRef(text);
  if (ref !== undefined) return { project: ref.project ?? project, job: ref.job, index: ref.index };
  throw new Failure(`"${text}" is not a task`, {
    exit: Exit.usage,
    detail: "write it like 'thumbs[17]' (in quotes: the shell reads brackets itself), or thumbs for its first task",
    next: ["berth ps"],
  });
};
