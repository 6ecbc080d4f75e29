/**
 * Made-up clusters for tests and for looking at the dashboard. Everything follows from a start time, so that two runs
 * draw the same picture. Sums are kept true: what a host has reserved is what its allocations request.
 */
import type {
  AllocationId,
  AllocationView,
  Exit,
  HostId,
  HostView,
  JobName,
  JobSpec,
  JobView,
  ProjectName,
  Dimension,
  Resources,
  TaskCounts,
  WatchMessage,
} from "@berth/schema";

export const GIB = 1024 ** 3;
export const MIB = 1024 ** 2;
const MINUTE = 60_000;

export type Snapshot = Extract<WatchMessage, { kind: "snapshot" }>;
export type Delta = Extract<WatchMessage, { kind: "delta" }>;

const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";
export const allocationId = (number: number): AllocationId => {
  const digits = [10, 5, 0].map((shift) => CROCKFORD[(number >> shift) & 31]).join("");
  return `alloc_01k3xq7v9m2c4h5j6n8t000${digits}` as AllocationId;
};

export const makeHost = (id: string, cpus: number, memoryGib: number, more: Partial<HostView> = {}): HostView => ({
  id: id as HostId,
  state: "ready",
  inventory: {
    hostname: id,
    arch: "amd64",
    os: "Debian GNU/Linux 12 (bookworm)",
    kernel: "6.1.0-28-amd64",
    cpuModel: "AMD EPYC 7302P 16-Core Processor",
    cpuCount: cpus,
    memoryBytes: memoryGib * GIB,
    cgroupVersion: "v2",
    notEnforced: [],
    agentVersion: "0.1.0",
  },
  capacity: {
    capacity: { cpuMillis: cpus * 1000, memoryBytes: memoryGib * GIB, pids: 32_768 },
    systemReserved: { cpuMillis: 500, memoryBytes: GIB, pids: 1_024 },
    allocatable: { cpuMillis: cpus * 1000 - 500, memoryBytes: (memoryGib - 1) * GIB, pids: 31_744 },
  },
  reserved: { cpuMillis: 0, memoryBytes: 0, pids: 0 },
  allocations: 0,
  usage: { cpuMillis: 120, memoryBytes: Math.round(0.7 * GIB), pids: 190, load1: 0.12, uptimeMs: 12 * 86_400_000 },
  pressure: { cpuSome10: 0.02, memorySome10: 0, memoryFull10: 0, ioSome10: 0.004, ioFull10: 0.001 },
  lastHeartbeatAgoMs: 800,
  ...more,
});

const NO_TASKS: TaskCounts = { pending: 0, starting: 0, running: 0, stopping: 0, succeeded: 0, failed: 0, stopped: 0 };

export const makeJob = (
  name: string,
  requests: Resources,
  more: Partial<Omit<JobView, "spec" | "name">> & { readonly spec?: Partial<JobSpec> } = {},
): JobView => {
  const project = more.project ?? ("default" as ProjectName);
  return {
    version: 1,
    state: "running",
    exitCode: null,
    pendingReason: null,
    submittedBy: "ada",
    submittedAtMs: 0,
    finishedAtMs: null,
    tasks: NO_TASKS,
    ...more,
    project,
    name: name as JobName,
    spec: {
      name: name as JobName,
      project,
      kind: "service",
      image: "builtin://busybox",
      command: ["sh", "-c", "echo hello"],
      env: {},
      workdir: "/",
      requests,
      limits: { cpuMillis: requests.cpuMillis * 2, memoryBytes: requests.memoryBytes * 2, pids: requests.pids },
      count: 1,
      maxRunning: null,
      volumes: [],
      outputs: [],
      restart: {
        on: "failure",
        max: 3,
        backoffFirstMs: 1_000,
        backoffLongestMs: 60_000,
        retryCodes: [],
        fatalCodes: [],
      },
      runTimeoutMs: null,
      stopTimeoutMs: 10_000,
      ...more.spec,
    },
  };
};

export const makeAllocation = (
  number: number,
  job: JobView,
  index: number,
  host: string,
  more: Partial<AllocationView> = {},
): AllocationView => ({
  id: allocationId(number),
  project: job.project,
  job: job.name,
  jobVersion: job.version,
  index,
  attempt: 1,
  hostId: host as HostId,
  epoch: 41,
  state: "running",
  desired: "run",
  reason: "started",
  resources: job.spec.requests,
  score: {
    total: 0.81,
    parts: [
      { name: "best_fit", value: 0.86, weight: 1 },
      { name: "job_spread", value: 0.55, weight: 0.2 },
    ],
  },
  placedAtMs: 0,
  startedAtMs: null,
  exit: null,
  usage: null,
  ...more,
});

export const makeExit = (finishedAtMs: number, more: Partial<Exit> = {}): Exit => ({
  code: 0,
  signal: null,
  oom: false,
  cause: "exited",
  detail: null,
  startedAtMs: null,
  finishedAtMs,
  ...more,
});

export const emptySnapshot = (cluster = "harbour"): Snapshot => ({
  kind: "snapshot",
  revision: 3,
  cluster,
  hosts: [],
  jobs: [],
  allocations: [],
});

/** Counts and sums that must follow from the allocations. */
export const settle = (snapshot: Snapshot): Snapshot => {
  const active = snapshot.allocations.filter((allocation) => !["exited", "failed", "lost"].includes(allocation.state));
  const hosts = snapshot.hosts.map((host) => {
    const here = active.filter((allocation) => allocation.hostId === host.id);
    const sum = (key: Dimension): number => here.reduce((total, allocation) => total + allocation.resources[key], 0);
    const used = (key: Dimension): number =>
      here.reduce((total, allocation) => total + (allocation.usage?.[key] ?? 0), 0);
    const usage =
      host.usage === null
        ? null
        : {
            ...host.usage,
            cpuMillis: 120 + used("cpuMillis"),
            memoryBytes: Math.round(0.7 * GIB) + used("memoryBytes"),
            pids: 190 + used("pids"),
            load1: Number((0.12 + used("cpuMillis") / 1000).toFixed(2)),
          };
    return {
      ...host,
      reserved: { cpuMillis: sum("cpuMillis"), memoryBytes: sum("memoryBytes"), pids: sum("pids") },
      allocations: here.length,
      usage,
    };
  });
  return { ...snapshot, hosts };
};

/** A number 0 … 1 that depends on `seed` alone. */
const noise = (seed: number): number => {
  const x = Math.sin(seed * 127.1 + 11.7) * 43_758.5453;
  return x - Math.floor(x);
};

const running = (number: number, job: JobView, index: number, host: string, nowMs: number): AllocationView => {
  const minutes = 3 + Math.floor(noise(number) * 600);
  const use = 0.15 + 0.75 * noise(number + 500);
  return makeAllocation(number, job, index, host, {
    placedAtMs: nowMs - minutes * MINUTE,
    startedAtMs: nowMs - minutes * MINUTE + 40,
    usage: {
      cpuMillis: Math.round(job.spec.requests.cpuMillis * use),
      memoryBytes: Math.round(job.spec.requests.memoryBytes * (0.3 + 0.6 * noise(number + 900))),
      pids: 3 + Math.floor(noise(number + 7) * 12),
    },
  });
};

const need = (cpuMillis: number, memoryMib: number, pids = 64): Resources => ({
  cpuMillis,
  memoryBytes: memoryMib * MIB,
  pids,
});

/** Three hosts and sixty allocations of nine jobs on a good day with a few clouds. */
export const busySnapshot = (nowMs: number): Snapshot => {
  const project = (name: string): { readonly project: ProjectName } => ({ project: name as ProjectName });
  const ago = (minutes: number): number => nowMs - minutes * MINUTE;
  const site = makeJob("site", need(500, 256), {
    ...project("web"),
    submittedAtMs: ago(8_000),
    tasks: { ...NO_TASKS, running: 6 },
    spec: { count: 6, command: ["httpd", "-f", "-p", "8080", "-h", "/srv/www"] },
  });
  const api = makeJob("api", need(1_500, 1_536, 256), {
    ...project("web"),
    version: 7,
    submittedAtMs: ago(320),
    tasks: { ...NO_TASKS, running: 4 },
    spec: { count: 4, command: ["/usr/bin/api", "--listen", ":9000"] },
  });
  const cache = makeJob("cache", need(250, 4_096, 32), {
    ...project("web"),
    submittedAtMs: ago(8_000),
    tasks: { ...NO_TASKS, running: 2 },
    spec: { count: 2, command: ["cached", "-m", "3800"] },
  });
  const thumbs = makeJob("thumbs", need(1_000, 512), {
    ...project("media"),
    submittedAtMs: ago(42),
    pendingReason: null,
    tasks: { ...NO_TASKS, pending: 8, starting: 1, running: 11, succeeded: 19, failed: 1 },
    spec: {
      kind: "batch",
      count: 40,
      maxRunning: 12,
      image: "builtin://busybox",
      command: ["render", "--shard", "${INDEX}", "--of", "40", "--in", "/photos", "--out", "/out"],
      volumes: [{ source: "/srv/photos", target: "/photos", readOnly: true }],
      outputs: [{ path: "/out" }],
      runTimeoutMs: 30 * MINUTE,
    },
  });
  const ingest = makeJob("ingest", need(750, 1_024), {
    ...project("data"),
    submittedAtMs: ago(1_300),
    tasks: { ...NO_TASKS, running: 5, stopping: 1 },
    spec: { count: 6, command: ["ingest", "--follow"] },
  });
  const train = makeJob("train", need(12_000, 65_536, 512), {
    ...project("research"),
    state: "pending",
    submittedAtMs: ago(16),
    tasks: { ...NO_TASKS, pending: 1 },
    pendingReason: "0 of 3 hosts can take train[0]: memory is short on pike (by 1 GiB), on perch and on roach",
    spec: {
      kind: "batch",
      command: ["python3", "train.py", "--epochs", "40"],
      restart: { on: "never", max: null, backoffFirstMs: 0, backoffLongestMs: 0, retryCodes: [], fatalCodes: [] },
    },
  });
  const nightly = makeJob("nightly-backup", need(500, 512), {
    ...project("ops"),
    state: "failed",
    exitCode: 75,
    submittedAtMs: ago(380),
    finishedAtMs: ago(371),
    submittedBy: "schedule",
    tasks: { ...NO_TASKS, failed: 1, succeeded: 2 },
    spec: { kind: "batch", count: 3, command: ["sh", "-c", "backup --target /mnt/nas --shard ${INDEX}"] },
  });
  const checksums = makeJob("checksums", need(250, 64), {
    ...project("ops"),
    state: "succeeded",
    exitCode: 0,
    submittedAtMs: ago(95),
    finishedAtMs: ago(93),
    tasks: { ...NO_TASKS, succeeded: 8 },
    spec: {
      kind: "batch",
      count: 8,
      command: ["sh", "-c", "find /data -type f | awk NR%8==$INDEX | xargs sha256sum > /out/$INDEX"],
      outputs: [{ path: "/out" }],
    },
  });
  const hello = makeJob("hello", need(100, 16), {
    state: "succeeded",
    exitCode: 0,
    submittedAtMs: ago(118),
    finishedAtMs: ago(118),
    tasks: { ...NO_TASKS, succeeded: 1 },
    spec: { kind: "batch", command: ["echo", "hello from berth"] },
  });

  const hosts = [
    makeHost("perch", 16, 32),
    makeHost("pike", 24, 64, {
      pressure: { cpuSome10: 0.11, memorySome10: 0.14, memoryFull10: 0.03, ioSome10: 0.06, ioFull10: 0.02 },
    }),
    makeHost("roach", 8, 16, {
      inventory: {
        ...makeHost("roach", 8, 16).inventory,
        cgroupVersion: "hybrid",
        notEnforced: ["memory.high: the memory controller of this host is version 1"],
      },
    }),
  ];

  const allocations: AllocationView[] = [];
  let number = 0;
  const add = (allocation: AllocationView): void => {
    allocations.push(allocation);
  };
  const spread = (job: JobView, placement: readonly string[]): void =>
    placement.forEach((host, index) => add(running((number += 1), job, index, host, nowMs)));
  const ended = (
    job: JobView,
    index: number,
    host: string,
    minutes: number,
    ranMs: number,
    exit: Partial<Exit> = {},
  ): void => {
    const finishedAtMs = ago(minutes);
    add(
      makeAllocation((number += 1), job, index, host, {
        state: "exited",
        reason: exit.cause ?? "exited",
        placedAtMs: finishedAtMs - ranMs - 40,
        startedAtMs: finishedAtMs - ranMs,
        exit: makeExit(finishedAtMs, { startedAtMs: finishedAtMs - ranMs, ...exit }),
      }),
    );
  };
  spread(site, ["perch", "perch", "pike", "pike", "roach", "roach"]);
  spread(api, ["pike", "pike", "perch", "roach"]);
  spread(cache, ["pike", "perch"]);
  spread(ingest, ["perch", "pike", "pike", "perch", "pike"]);
  add({
    ...running((number += 1), ingest, 5, "pike", nowMs),
    state: "stopping",
    desired: "stop",
    reason: "job_replaced",
  });
  for (let index = 0; index < 19; index += 1)
    ended(
      thumbs,
      index,
      ["pike", "perch", "pike"][index % 3] ?? "pike",
      40 - index * 1.6,
      60_000 + 9_000 * noise(index),
    );
  ended(thumbs, 19, "roach", 6, 44_000, {
    code: 137,
    signal: 9,
    oom: true,
    cause: "oom",
    detail: "the kernel ended it at 1 GiB of memory, its limit",
  });
  for (let index = 20; index < 31; index += 1) {
    const minutes = 0.3 + 2 * noise(index);
    add({
      ...running((number += 1), thumbs, index, ["pike", "perch"][index % 2] ?? "pike", nowMs),
      placedAtMs: ago(minutes),
      startedAtMs: ago(minutes) + 30,
    });
  }
  add(
    makeAllocation((number += 1), thumbs, 31, "pike", {
      state: "starting",
      reason: "starting",
      placedAtMs: nowMs - 4_000,
    }),
  );
  ended(nightly, 0, "perch", 371, 480_000);
  ended(nightly, 1, "pike", 372, 470_000);
  ended(nightly, 2, "perch", 371, 12_000, { code: 75, detail: "/mnt/nas: resource temporarily unavailable" });
  for (let index = 0; index < 6; index += 1)
    ended(checksums, index, ["perch", "pike", "roach"][index % 3] ?? "perch", 93.5, 8_000 + 900 * index);
  ended(hello, 0, "roach", 118, 12);

  return settle({
    kind: "snapshot",
    revision: 4_812,
    cluster: "harbour",
    hosts,
    jobs: [site, api, cache, thumbs, ingest, train, nightly, checksums, hello],
    allocations,
  });
};

/** The busy cluster after its smallest host fell silent. */
export const troubledSnapshot = (nowMs: number): Snapshot => {
  const busy = busySnapshot(nowMs);
  return settle({
    ...busy,
    hosts: busy.hosts.map((host) =>
      host.id === "roach" ? { ...host, state: "lost", usage: null, pressure: null, lastHeartbeatAgoMs: 74_000 } : host,
    ),
    allocations: busy.allocations.map((allocation) =>
      allocation.hostId === "roach" && allocation.state === "running"
        ? {
            ...allocation,
            state: "lost",
            reason: "host_lost",
            usage: null,
            exit: makeExit(nowMs - 59_000, {
              code: 125,
              cause: "host_lost",
              detail: "roach has not been heard for 15 s",
            }),
          }
        : allocation,
    ),
  });
};

/** Many hosts and allocations, for looking at density and speed. */
export const largeSnapshot = (nowMs: number, hostCount: number, perHost: number): Snapshot => {
  const shapes = [need(250, 256), need(500, 1_024), need(1_000, 512), need(100, 2_048)];
  const jobs = Array.from({ length: 40 }, (_, at) =>
    makeJob(`service-${at}`, shapes[at % shapes.length] ?? need(100, 64), {
      project: "load" as ProjectName,
      submittedAtMs: nowMs - at * MINUTE,
      spec: { count: Math.ceil((hostCount * perHost) / 40) },
      tasks: { ...NO_TASKS, running: Math.ceil((hostCount * perHost) / 40) },
    }),
  );
  const allocations = Array.from({ length: hostCount * perHost }, (_, at) => {
    const job = jobs[at % jobs.length];
    if (job === undefined) throw new Error("no job");
    return running(
      at,
      job,
      Math.floor(at / jobs.length),
      `h-${String(Math.floor(at / perHost)).padStart(3, "0")}`,
      nowMs,
    );
  });
  const hosts = Array.from({ length: hostCount }, (_, at) => makeHost(`h-${String(at).padStart(3, "0")}`, 32, 64));
  return settle({ kind: "snapshot", revision: 9_000, cluster: "load", hosts, jobs, allocations });
};
