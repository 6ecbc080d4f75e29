/** Projects as the API shows them: the declared ones, and those that something names. */
import { DEFAULT_WEIGHT, DIMENSIONS, type ProjectName, type ProjectView } from "@berth/schema";
import { inside, type ClusterState } from "./state.ts";

/** Every project that there is any reason to speak of. */
export const projectNames = (state: ClusterState): Set<ProjectName> =>
  new Set([
    ...state.projects.keys(),
    ...[
      ...state.jobs.values(),
      ...state.volumes.values(),
      ...state.allocations.values(),
      ...state.secrets.values(),
    ].map(({ project }) => project),
  ]);

/** What it holds; costs a look at all jobs. */
export const projectView = (clusterState: ClusterState, name: ProjectName, nowMs: number): ProjectView => {
  const state = inside(clusterState);
  const record = state.projects.get(name);
  const { now, recent } = state.usage.sharesOf(name, nowMs);
  const sums = [state.usage.heldBy(name), state.usage.keptFor(name)];
  const sum = (at: number): number => sums.reduce((all, holdings) => all + (holdings?.held[at] ?? 0), 0);
  const more = Object.fromEntries(
    state.dimensions
      .map((dimension, at) => [dimension, sum(at)] as const)
      .slice(DIMENSIONS.length)
      .filter(([, amount]) => amount > 0),
  );
  const jobs = [...state.jobs.values()].filter((job) => job.project === name && job.finishedAtMs === null);
  return {
    name,
    declared: record !== undefined,
    description: record?.description ?? "",
    weight: record?.weight ?? DEFAULT_WEIGHT,
    quota: record?.quota ?? {},
    ...(record?.unconfinedSeccomp === true && { unconfinedSeccomp: true }),
    used: {
      tasks: sums.reduce((all, holdings) => all + (holdings?.tasks ?? 0), 0),
      ...{ cpuMillis: sum(0), memoryBytes: sum(1), pids: sum(2) },
      ...(Object.keys(more).length > 0 && { more }),
    },
    activeJobs: jobs.length,
    pendingTasks: jobs.reduce((all, { counts }) => all + counts.pending, 0),
    share: now,
    recentShare: recent,
    createdBy: record?.createdBy ?? null,
    createdAtMs: record?.createdAtMs ?? null,
  };
};
