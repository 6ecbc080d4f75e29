import { expect, test } from "vitest";
import type { AllocationId, DesiredAllocation, HostId, JobSpec } from "@berth/schema";
import { containerSpecOf, environmentOf, hostnameOf } from "./container-spec.ts";
import { testSpec } from "../testing/fake-scheduler.ts";

const allocation = {
  id: "alloc_00000000000000000000000000",
  project: "media",
  job: "thumbs",
  jobVersion: 3,
  index: 17,
  attempt: 2,
  epoch: 1,
  desired: "run",
  spec: "s",
} as unknown as DesiredAllocation;
const place = {
  id: allocation.id,
  image: {
    layers: ["/images/busybox"],
    defaults: { command: ["/bin/app"], env: { LANG: "C" }, workdir: "/app", user: "1000", stopSignal: 3 },
  },
  idBase: 1_000_000,
  outputRoot: "/data/allocations/x/outputs",
  volumes: new Map([["scratch-17", "/data/volumes/media.scratch-17.5/data"]]),
};
const task = (more: Partial<JobSpec> = {}) => ({
  host: "h1" as HostId,
  allocation,
  spec: testSpec(["render", "--shard", "${INDEX}/${COUNT}", "${HOME}", "$INDEX", "${INDEX}${INDEX}"], {
    count: 500,
    ...more,
  }),
});

test("the index and the count are filled in, in words and values; nothing else is touched", () => {
  const { command, env } = containerSpecOf(
    task({ env: { SHARD: "${INDEX}", "N${INDEX}": "x", RAW: "$& $1 ${PATH}" } }),
    place,
  );
  expect(command).toEqual(["render", "--shard", "17/500", "${HOME}", "$INDEX", "1717"]);
  expect(env).toMatchObject({ SHARD: "17", "N${INDEX}": "x", RAW: "$& $1 ${PATH}" });
});

test("the environment says what the task is; a job may change defaults, not facts", () => {
  const env = environmentOf(task({ env: { PATH: "/bin", BERTH_INDEX: "99", HOME: "/" } }));
  expect(env).toEqual({
    PATH: "/bin",
    HOME: "/",
    HOSTNAME: "thumbs-17",
    BERTH_PROJECT: "media",
    BERTH_JOB: "thumbs",
    BERTH_TASK: "thumbs[17]",
    BERTH_INDEX: "17",
    BERTH_COUNT: "500",
    BERTH_ATTEMPT: "2",
    BERTH_ALLOCATION: allocation.id,
    BERTH_HOST: "h1",
  });
  expect(environmentOf(task()).PATH).toContain("/usr/bin");
});

test("host names have at most 63 characters", () => {
  expect(hostnameOf({ ...allocation, job: "j".repeat(63) as DesiredAllocation["job"], index: 99_999 })).toHaveLength(
    63,
  );
});

test("volumes and outputs become mounts, outer ones first", () => {
  const { mounts } = containerSpecOf(
    task({
      volumes: [
        { source: "/srv/deep", target: "/a/b/c", readOnly: true },
        { volume: "scratch-${INDEX}", target: "/s", readOnly: false, shared: false, sizeBytes: 0 },
      ],
      outputs: [{ path: "/a/b" }, { path: "/a" }],
    }),
    place,
  );
  expect(mounts).toEqual([
    { source: "/data/volumes/media.scratch-17.5/data", target: "/s", readOnly: false, recursive: false },
    { source: "/data/allocations/x/outputs/a", target: "/a", readOnly: false },
    { source: "/data/allocations/x/outputs/a/b", target: "/a/b", readOnly: false },
    { source: "/srv/deep", target: "/a/b/c", readOnly: true },
  ]);
});

test("what is booked becomes a share, what is limited a limit", () => {
  const spec = containerSpecOf(
    task({
      requests: { cpuMillis: 500, memoryBytes: 1, pids: 2 },
      limits: { cpuMillis: 2000, memoryBytes: 512, pids: 9 },
    }),
    place,
  );
  expect(spec.limits).toEqual({ cpuRequestMillis: 500, cpuLimitMillis: 2000, memoryBytes: 512, pids: 9 });
  expect(spec).toMatchObject({
    id: allocation.id as AllocationId,
    idBase: 1_000_000,
    hostname: "thumbs-17",
    workdir: "/",
  });
});

test("what a job does not say, its image does", () => {
  const silent = containerSpecOf(task({ command: [], workdir: "", env: { A: "1" } }), place);
  expect(silent).toMatchObject({ command: ["/bin/app"], workdir: "/app", user: "1000", stopSignal: 3 });
  expect(silent.env).toMatchObject({ LANG: "C", A: "1" });
  const outspoken = containerSpecOf(task({ workdir: "/w", user: "0:0", env: { LANG: "de" } }), place);
  expect(outspoken).toMatchObject({ workdir: "/w", user: "0:0" });
  expect(outspoken.env["LANG"]).toBe("de");
});

test("what a job says about its container and its limits reaches the runtime", () => {
  const spec = containerSpecOf(
    task({
      container: { readOnlyRoot: true, stopSignal: 10, mounts: [{ kind: "tmpfs", target: "/a" }] },
      limits: { cpuMillis: 500, memoryBytes: 2 ** 26, pids: 7, cpuBurstMillis: 100, swapBytes: 4096 },
      outputs: [{ path: "/a/b" }],
    }),
    place,
  );
  expect(spec).toMatchObject({ readOnlyRoot: true, stopSignal: 10, user: "1000" });
  expect(spec.limits).toEqual({
    cpuRequestMillis: task().spec.requests.cpuMillis,
    cpuLimitMillis: 500,
    memoryBytes: 2 ** 26,
    pids: 7,
    cpuBurstMillis: 100,
    swapBytes: 4096,
  });
  expect(spec.mounts.map((mount) => mount.target)).toEqual(["/a", "/a/b"]);
});

test("the init of a distribution gets a machine, unless the job names another program", () => {
  const defaults = { command: ["/sbin/init"], env: {}, workdir: "/", user: "", stopSignal: 37, machine: true };
  const machine = { ...place, image: { layers: ["/images/debian"], defaults } };
  const own = containerSpecOf(
    task({ command: [], container: { mounts: [{ kind: "tmpfs", target: "/tmp" }] } }),
    machine,
  );
  expect(own).toMatchObject({ machine: true, init: false, stopSignal: 37, command: ["/sbin/init"] });
  expect(own.mounts.map(({ target }) => target)).toEqual(["/tmp", "/run"]);
  const other = containerSpecOf(task(), machine);
  expect(other.machine).toBeUndefined();
  expect(other.init).toBeUndefined();
});
