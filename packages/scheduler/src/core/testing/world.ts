/** A small cluster to tell stories with: appends what the core decides to a log in memory, and folds it. */
import {
  makeId,
  type AllocationId,
  type AllocationReport,
  type AllocationState,
  type Exit,
  type Hello,
  type HostId,
  type JobName,
  type JobSpec,
  type LogRecord,
  type Problem,
  type ProjectName,
  type Resources,
  type Result,
  type Transaction,
} from "@berth/schema";
import {
  createState,
  decideEnrol,
  decideHello,
  decideReports,
  decideSilence,
  decideSubmit,
  fold,
  planEvaluations,
  type ImageSight,
  validatePlan,
  type Changes,
  type ClusterState,
  type SubmitDecision,
} from "../index.ts";

export const MiB = 2 ** 20;

export const resources = (cpuMillis: number, memoryMiB: number, pids = 100): Resources => ({
  cpuMillis,
  memoryBytes: memoryMiB * MiB,
  pids,
});

type SpecChanges = Partial<Omit<JobSpec, "restart" | "name" | "project">> & {
  readonly restart?: Partial<JobSpec["restart"]>;
  readonly project?: string;
};

/** A batch job of one task that asks for 1 CPU, 1 GiB and 10 pids, unless `changes` say otherwise. */
export const makeSpec = (name: string, changes: SpecChanges = {}): JobSpec => {
  const requests = changes.requests ?? resources(1000, 1024, 10);
  const kind = changes.kind ?? "batch";
  return {
    kind,
    image: "builtin://busybox",
    command: ["true"],
    env: {},
    workdir: "/",
    requests,
    limits: { cpuMillis: null, memoryBytes: requests.memoryBytes, pids: requests.pids },
    count: 1,
    maxRunning: null,
    volumes: [],
    outputs: [],
    runTimeoutMs: null,
    stopTimeoutMs: 10_000,
    ...changes,
    name: name as JobName,
    project: (changes.project ?? "media") as ProjectName,
    restart: {
      on: kind === "service" ? "always" : "never",
      max: null,
      backoffFirstMs: 1_000,
      backoffLongestMs: 60_000,
      retryCodes: [],
      fatalCodes: [],
      ...changes.restart,
    },
  };
};

export const makeHello = (
  allocatable: Resources,
  session = "session-0000000001",
  notEnforced: string[] = [],
  labels?: Readonly<Record<string, string>>,
): Hello => ({
  version: 1,
  session,
  bootId: "boot-1",
  inventory: {
    hostname: "host",
    arch: "x64",
    os: "linux",
    kernel: "6.1",
    cpuModel: "cpu",
    cpuCount: 4,
    memoryBytes: allocatable.memoryBytes,
    cgroupVersion: "v2",
    notEnforced,
    agentVersion: "0.1.0",
    ...(labels === undefined ? {} : { labels: { ...labels } }),
  },
  capacity: { capacity: allocatable, systemReserved: { cpuMillis: 0, memoryBytes: 0, pids: 0 }, allocatable },
  epoch: 0,
  rev: 0,
});

export const makeExit = (code: number, changes: Partial<Exit> = {}): Exit => ({
  code,
  signal: null,
  oom: false,
  cause: "exited",
  detail: null,
  startedAtMs: 0,
  finishedAtMs: 10,
  ...changes,
});

/** Ids in a sequence: the plan's own numbering, so that golden texts are stable. */
export const idMaker = (): (() => AllocationId) => {
  let count = 0;
  return () => {
    count += 1;
    return makeId("alloc", 0, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, count >> 8, count & 255)) as AllocationId;
  };
};

export const host = (name: string): HostId => name as HostId;
const PUBLIC_KEY = `U${"A".repeat(55)}`;

export const unwrap = <T, E>(result: Result<T, E>): T => {
  if (!result.ok) throw new Error(`expected a value, got ${JSON.stringify(result.error)}`);
  return result.value;
};

export class World {
  readonly state: ClusterState = createState();
  readonly log: { readonly sequence: number; readonly transaction: Transaction }[] = [];
  readonly makeAllocationId = idMaker();
  nowMs = 1_000_000;

  constructor() {
    this.append([{ kind: "leader_elected", instance: "test" }]);
  }

  append(records: readonly LogRecord[], epoch = this.state.epoch): Changes {
    const transaction: Transaction = {
      version: 2,
      origin: null,
      epoch,
      atMs: this.nowMs,
      cause: "test",
      records: [...records],
    };
    const sequence = this.log.length + 1;
    this.log.push({ sequence, transaction });
    return fold(this.state, sequence, transaction);
  }

  host(
    name: string,
    allocatable: Resources = resources(4000, 8192, 1000),
    notEnforced: string[] = [],
    labels?: Readonly<Record<string, string>>,
  ): HostId {
    this.append(unwrap(decideEnrol(this.state, { id: host(name), publicKey: PUBLIC_KEY, by: "admin" })));
    this.append(unwrap(decideHello(this.state, host(name), makeHello(allocatable, undefined, notEnforced, labels))));
    return host(name);
  }

  trySubmit(spec: JobSpec, idempotencyKey: string | null = null): Result<SubmitDecision, Problem> {
    const requestDigest = JSON.stringify(spec);
    const decision = decideSubmit(this.state, { spec, by: "ann", idempotencyKey, requestDigest });
    if (decision.ok && decision.value.records.length > 0) this.append(decision.value.records);
    return decision;
  }

  submit(spec: JobSpec): SubmitDecision {
    return unwrap(this.trySubmit(spec));
  }

  /** Plans, checks the plan and appends it; returns one readable line per record. */
  plan(maxPlacements = 1000, images?: ImageSight): string[] {
    const env = { nowMs: this.nowMs, makeAllocationId: this.makeAllocationId, images };
    const { records } = planEvaluations(this.state, env, { maxPlacements });
    unwrap(validatePlan(this.state, records));
    const lines = records.map((record) => this.describe(record));
    if (records.length > 0) this.append(records);
    return lines;
  }

  describe(record: LogRecord): string {
    if (record.kind === "allocation_placed") {
      const { project, job, index, attempt, hostId, score, replaces } = record.placement;
      const instead = replaces === null ? "" : ` instead of ${this.state.allocations.get(replaces)?.hostId}`;
      return `${project}/${job}[${index}]#${attempt} → ${hostId} ${score.total}${instead}`;
    }
    if (record.kind === "allocation_stop") {
      const allocation = this.state.allocations.get(record.id);
      return `stop ${allocation?.key}[${allocation?.index}] on ${allocation?.hostId}: ${record.reason}`;
    }
    if (record.kind === "room_reserved") {
      const names = record.victims.map((id) => {
        const victim = this.state.allocations.get(id);
        return `${victim?.key}[${victim?.index}]`;
      });
      return `keep ${record.hostId} for ${record.project}/${record.job}[${record.index}]: stop ${names.join(", ")}`;
    }
    return record.kind;
  }

  /** The allocation that holds this task now. */
  active(job: string, index = 0): AllocationId {
    const id = this.state.jobs.get(`media/${job}` as never)?.tasks[index]?.active ?? null;
    if (id === null) throw new Error(`media/${job}[${index}] holds no allocation`);
    return id;
  }

  report(id: AllocationId, state: AllocationState, exit: Exit | null = null): LogRecord[] {
    const hostId = this.state.allocations.get(id)?.hostId ?? host("none");
    const report: AllocationReport = { id, state, reason: "test", startedAtMs: null, exit };
    const records = decideReports(this.state, hostId, [report]);
    if (records.length > 0) this.append(records);
    return records;
  }

  exit(job: string, index: number, code: number, changes: Partial<Exit> = {}): void {
    this.report(this.active(job, index), "exited", makeExit(code, changes));
  }

  job(name: string) {
    const job = this.state.jobs.get(`media/${name}` as never);
    if (job === undefined) throw new Error(`no job media/${name}`);
    return job;
  }
}

/** What a silence means where hosts are disconnected after 2 s and lost after 5. */
export const silence = (state: ClusterState, hostId: HostId, silentMs: number): LogRecord[] =>
  decideSilence(state, hostId, silentMs, { disconnectedAfterMs: 2_000, lostAfterMs: 5_000 });
