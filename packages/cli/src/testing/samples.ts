/** Whole documents of the API for tests; each test changes what it is about. */
import {
  parseJobDocument,
  type AllocationView,
  type Exit,
  type HostId,
  type HostView,
  type JobName,
  type JobView,
  type ProjectName,
  type TaskCounts,
} from "@berth/schema";

const counts: TaskCounts = { pending: 0, starting: 0, running: 0, stopping: 0, succeeded: 0, failed: 0, stopped: 0 };

export const specOf = (document: Readonly<Record<string, unknown>> = {}): JobView["spec"] => {
  const parsed = parseJobDocument({
    name: "hello",
    kind: "batch",
    image: "builtin://busybox",
    command: ["true"],
    ...document,
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value;
};

export const jobView = (
  more: Partial<Omit<JobView, "tasks">> & {
    readonly document?: Readonly<Record<string, unknown>>;
    readonly tasks?: Partial<TaskCounts>;
  } = {},
): JobView => {
  const { document, tasks, ...rest } = more;
  const spec = specOf(document);
  return {
    project: spec.project,
    name: spec.name,
    version: 1,
    state: "running",
    spec,
    exitCode: null,
    pendingReason: null,
    submittedBy: "admin",
    submittedAtMs: 900_000,
    finishedAtMs: null,
    ...rest,
    tasks: { ...counts, ...tasks },
  };
};

export const exitOf = (more: Partial<Exit> = {}): Exit => ({
  code: 0,
  signal: null,
  oom: false,
  cause: "exited",
  detail: null,
  startedAtMs: 950_000,
  finishedAtMs: 960_000,
  ...more,
});

/** A valid allocation id that ends in the number. */
export const allocationId = (number: number): AllocationView["id"] =>
  `alloc_${String(number).padStart(26, "0")}` as AllocationView["id"];

export const allocationView = (more: Partial<AllocationView> & { readonly number?: number } = {}): AllocationView => {
  const { number = 1, ...rest } = more;
  return {
    id: allocationId(number),
    project: "default" as ProjectName,
    job: "hello" as JobName,
    jobVersion: 1,
    index: 0,
    attempt: 1,
    hostId: "h-01" as HostId,
    epoch: 1,
    state: "running",
    desired: "run",
    reason: "started",
    resources: { cpuMillis: 100, memoryBytes: 134_217_728, pids: 256 },
    score: { total: 0.5, parts: [{ name: "best_fit", value: 0.5, weight: 1 }] },
    placedAtMs: 940_000,
    startedAtMs: 950_000,
    exit: null,
    usage: null,
    ...rest,
  };
};

export const hostView = (more: Partial<HostView> = {}): HostView => ({
  id: "h-01" as HostId,
  state: "ready",
  inventory: {
    hostname: "h-01",
    arch: "x64",
    os: "Debian GNU/Linux 12",
    kernel: "6.1.0",
    cpuModel: "Test CPU",
    cpuCount: 4,
    memoryBytes: 8 * 2 ** 30,
    cgroupVersion: "v2",
    notEnforced: [],
    agentVersion: "0.1.0",
  },
  capacity: {
    capacity: { cpuMillis: 4000, memoryBytes: 8 * 2 ** 30, pids: 32_768 },
    systemReserved: { cpuMillis: 200, memoryBytes: 2 ** 29, pids: 768 },
    allocatable: { cpuMillis: 3800, memoryBytes: 7.5 * 2 ** 30, pids: 32_000 },
  },
  reserved: { cpuMillis: 950, memoryBytes: 1.5 * 2 ** 30, pids: 256 },
  allocations: 3,
  usage: { cpuMillis: 120, memoryBytes: 700 * 2 ** 20, pids: 90, load1: 0.2, uptimeMs: 100_000 },
  pressure: null,
  lastHeartbeatAgoMs: 400,
  ...more,
});
