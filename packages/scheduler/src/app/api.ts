/** What users can ask for, whatever carries it. Input is decoded already, or is decoded here; every refusal is a problem. */
import { createHash } from "node:crypto";
import {
  err,
  jobKey,
  makeId,
  ok,
  parseJobDocument,
  problem,
  type AccessProjects,
  type AllocationId,
  type AllocationList,
  type AllocationState,
  type AllocationView,
  type Enrolled,
  type Enrolment,
  type HostId,
  type HostList,
  type HostView,
  type JobList,
  type JobName,
  type JobView,
  type Origin,
  type PlanView,
  type Problem,
  type ProjectName,
  type Result,
  type Submitted,
  type Why,
  type WhyNot,
} from "@berth/schema";
import {
  decideEnrol,
  decideStop,
  decideSubmit,
  dryRun,
  refusalAtWrite,
  seesProject,
  why,
  whyNot,
  type ImageSight,
  type PlanEnv,
} from "../core/index.ts";
import type { Admission } from "../ports/admission.ts";
import type { Clock } from "../ports/clock.ts";
import type { Vault } from "../ports/vault.ts";
import { createAccessWrites, type AccessWrites } from "./access.ts";
import { createAudit, type Audit } from "./audit.ts";
import type { Engine } from "./engine.ts";
import { createHostDuties, type HostDuties } from "./host-duties.ts";
import type { LastUsed } from "./last-used.ts";
import { createJoining, type Joining } from "./joining.ts";
import { needOf } from "./need.ts";
import { createInTurn } from "./one-at-a-time.ts";
import { pageOf, type PageRequest } from "./pages.ts";
import { createProjects, type Projects } from "./projects.ts";
import { createImageNames, type ImageNames } from "./image-names.ts";
import { createSecrets, type Secrets } from "./secrets.ts";
import { createRebalancer, type Rebalancer } from "./rebalance.ts";
import { createSnapshotJobs, type SnapshotJobs } from "./snapshot-jobs.ts";
import { createSnapshotRemovals, type SnapshotRemovals } from "./snapshot-removals.ts";
import type { VolumesApi } from "./volumes.ts";
import type { Views } from "./views.ts";
import type { Waits } from "./waits.ts";
import { createWhatIf, type WhatIf } from "./what-if.ts";
import { tellBus, writeRecords } from "./write.ts";

type Answer<T> = Promise<Result<T, Problem>>;

export interface AllocationFilter {
  readonly project: string | undefined;
  readonly job: string | undefined;
  readonly index: number | undefined;
  readonly host: string | undefined;
  readonly state: AllocationState | undefined;
}

export interface Api
  extends
    HostDuties,
    Joining,
    AccessWrites,
    VolumesApi,
    WhatIf,
    Audit,
    Projects,
    Secrets,
    ImageNames,
    SnapshotJobs,
    SnapshotRemovals {
  readonly submit: (document: unknown, origin: Origin, idempotencyKey: string | null) => Answer<Submitted>;
  readonly plan: (document: unknown, origin: Origin) => Result<PlanView, Problem>;
  readonly stop: (project: ProjectName, job: JobName, origin: Origin) => Answer<JobView>;
  readonly job: (
    project: ProjectName,
    job: JobName,
  ) => Result<{ readonly job: JobView; readonly revision: number }, Problem>;
  readonly waitForJob: (
    project: ProjectName,
    job: JobName,
    revision: number,
    waitMs: number,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Of all projects that are seen, or of one of them. */
  readonly jobs: (project: string | undefined, page: PageRequest, projects: AccessProjects) => Result<JobList, Problem>;
  readonly why: (project: ProjectName, job: JobName, index: number) => Result<Why, Problem>;
  readonly whyNot: (project: ProjectName, job: JobName, index: number, host: HostId) => Result<WhyNot, Problem>;
  readonly hosts: (page: PageRequest) => Result<HostList, Problem>;
  readonly host: (id: HostId) => Result<HostView, Problem>;
  readonly enrol: (enrolment: Enrolment, origin: Origin) => Answer<Enrolled>;
  readonly allocations: (
    filter: AllocationFilter,
    page: PageRequest,
    projects: AccessProjects,
  ) => Result<AllocationList, Problem>;
  readonly allocation: (id: AllocationId) => Result<AllocationView, Problem>;
  readonly rebalancePlan: Rebalancer;
}

export interface ApiOptions {
  readonly engine: Engine;
  readonly views: Views;
  readonly waits: Waits;
  readonly admission: Admission;
  readonly cluster: string;
  readonly clusterKey: string;
  /** Why nothing new is taken now. */
  readonly complaint: () => string | undefined;
  readonly clock: Clock;
  readonly volumes: VolumesApi;
  readonly vault: Vault;
  readonly lastUsed: LastUsed;
  readonly images: ImageSight;
}

const present = <T>(value: T | undefined): value is T => value !== undefined;

export const createApi = (options: ApiOptions): Api => {
  const { engine, views, waits, admission, clock } = options;
  const { state } = engine;

  const inTurn = createInTurn();
  const removals = createSnapshotRemovals(engine, clock);
  const planEnv = (): PlanEnv => ({
    images: options.images,
    nowMs: clock.nowMs(),
    makeAllocationId: () => makeId("alloc", clock.nowMs(), clock.randomBytes(10)) as AllocationId,
  });

  const jobNotFound = (project: string, job: string): Result<never, Problem> =>
    err(problem("job.not_found", `there is no job ${project}/${job}`));

  const viewOf = (project: ProjectName, job: JobName): Result<JobView, Problem> => {
    const view = views.job(jobKey(project, job));
    return view === undefined ? jobNotFound(project, job) : ok(view);
  };

  const hostView = (id: HostId): Result<HostView, Problem> => {
    const view = views.host(id);
    if (view !== undefined) return ok(view);
    const detail = state.hosts.has(id) ? `host ${id} is admitted and has not said hello yet` : `there is no host ${id}`;
    return err(problem("host.not_found", detail));
  };

  return {
    ...createHostDuties({ engine, admission, clock, view: hostView }),
    ...createAccessWrites({ engine, clock, lastUsed: options.lastUsed }),
    ...createProjects({ engine, clock }),
    ...createSecrets({ engine, vault: options.vault }),
    ...createImageNames(engine),
    ...createAudit(engine),
    ...createJoining({ engine, admission, clock, cluster: options.cluster, clusterKey: options.clusterKey }),

    volumes: options.volumes.volumes,
    volume: options.volumes.volume,
    createVolume: options.volumes.createVolume,
    copyVolume: options.volumes.copyVolume,
    removeVolume: options.volumes.removeVolume,

    ...createSnapshotJobs(options, removals.refusal, viewOf),
    beginRemoval: removals.beginRemoval,
    endRemoval: removals.endRemoval,

    ...createWhatIf(state, planEnv, inTurn),

    rebalancePlan: createRebalancer(state, inTurn),

    submit: async (document, origin, idempotencyKey) => {
      const spec = parseJobDocument(document);
      if (!spec.ok) return spec;
      const complaint = options.complaint();
      if (complaint !== undefined) return err(problem("log.full", complaint, { retryAfterMs: 5_000 }));
      // Equal documents have equal specs, so this tells a repetition from another request under the same key.
      const requestDigest = createHash("sha256").update(JSON.stringify(spec.value)).digest("hex");
      const done = await engine.submit({
        cause: "submission",
        origin,
        need: needOf(spec.value),
        splittable: false,
        decide: (now) => {
          const refused = removals.refusal(spec.value.image);
          if (refused !== undefined) return err(refused);
          const decided = decideSubmit(now, { spec: spec.value, by: origin.who, idempotencyKey, requestDigest });
          return decided.ok ? ok({ records: decided.value.records, value: decided.value.action }) : decided;
        },
      });
      if (!done.ok) return done;
      const job = viewOf(spec.value.project, spec.value.name);
      return job.ok ? ok({ job: job.value, action: done.value.value, revision: done.value.revision }) : job;
    },

    plan: (document, origin) => {
      const spec = parseJobDocument(document);
      if (!spec.ok) return spec;
      const refused = refusalAtWrite(state, origin, needOf(spec.value), clock.nowMs());
      if (refused !== undefined) return err(refused);
      return dryRun(state, spec.value, planEnv());
    },

    stop: async (project, job, origin) => {
      const done = await writeRecords(engine, "stop", origin, { role: "submitter", project }, (now) =>
        decideStop(now, project, job, origin.who),
      );
      return done.ok ? viewOf(project, job) : done;
    },

    job: (project, job) => {
      const view = viewOf(project, job);
      return view.ok ? ok({ job: view.value, revision: waits.revisionOf(jobKey(project, job)) }) : view;
    },

    waitForJob: (project, job, revision, waitMs, signal) =>
      waits.changed(jobKey(project, job), revision, waitMs, signal),

    jobs: (project, page, projects) => {
      const keys = [...state.jobs.values()]
        .filter((job) => (project === undefined || job.project === project) && seesProject({ projects }, job.project))
        .map((job) => job.key);
      const found = pageOf(keys, page);
      if (!found.ok) return found;
      return ok({
        items: found.value.keys.map(views.job).filter(present),
        next: found.value.next,
        revision: state.revision,
      });
    },

    why: (project, job, index) => why(state, project, job, index, clock.nowMs(), options.images),

    whyNot: (project, job, index, host) => whyNot(state, project, job, index, host, clock.nowMs(), options.images),

    hosts: (page) => {
      // Hosts that were admitted and have not said hello yet have nothing to show.
      const ids = [...state.hosts.values()].filter((host) => host.inventory !== null).map((host) => host.id);
      const found = pageOf(ids, page);
      if (!found.ok) return found;
      return ok({
        items: found.value.keys.map(views.host).filter(present),
        next: found.value.next,
        revision: state.revision,
      });
    },

    host: hostView,

    enrol: async (enrolment, origin) => {
      const done = await writeRecords(engine, "enrolment", origin, { role: "operator" }, (now) =>
        decideEnrol(now, { ...enrolment, by: origin.who }),
      );
      if (!done.ok) return done;
      const told = await tellBus(
        admission,
        state,
        (why) => `host ${enrolment.id} is admitted, but the bus does not know it yet (${why}); send the request again`,
        { retryAfterMs: 1_000 },
      );
      if (!told.ok) return told;
      return ok({
        id: enrolment.id,
        natsUrls: [...admission.urls],
        clusterKey: options.clusterKey,
        revision: done.value,
      });
    },

    allocations: (filter, page, projects) => {
      const matching = function* (): Generator<AllocationId> {
        for (const record of state.allocations.values()) {
          if (!seesProject({ projects }, record.project)) continue;
          if (filter.project !== undefined && record.project !== filter.project) continue;
          if (filter.job !== undefined && record.job !== filter.job) continue;
          if (filter.index !== undefined && record.index !== filter.index) continue;
          if (filter.host !== undefined && record.hostId !== filter.host) continue;
          if (filter.state !== undefined && record.state !== filter.state) continue;
          yield record.id;
        }
      };
      const found = pageOf(matching(), page);
      if (!found.ok) return found;
      return ok({
        items: found.value.keys.map(views.allocation).filter(present),
        next: found.value.next,
        revision: state.revision,
      });
    },

    allocation: (id) => {
      const view = views.allocation(id);
      return view === undefined ? err(problem("allocation.not_found", `there is no allocation ${id}`)) : ok(view);
    },
  };
};
