import { describe, expect, test } from "vitest";
import { signalOf } from "./container-parse.ts";
import { parseJobDocument } from "./job-parse.ts";

const document = (container: unknown, more: object = {}) => ({
  name: "box",
  kind: "batch",
  image: "builtin://busybox",
  command: ["true"],
  ...(container === undefined ? {} : { container }),
  ...more,
});
const errorsOf = (input: unknown) => {
  const parsed = parseJobDocument(input);
  return parsed.ok ? [] : (parsed.error.errors ?? []);
};

test("what a document says is kept in the words of the runtime", () => {
  const parsed = parseJobDocument(
    document({
      init: false,
      readOnlyRoot: true,
      groups: ["audio", "44"],
      umask: "027",
      capabilities: { add: ["net_raw"], drop: ["all"] },
      rlimits: { nofile: 4096, core: { soft: 0, hard: "unlimited" } },
      sysctls: { "net.core.somaxconn": 1024, "kernel.shmmax": "65536" },
      tmpfs: [{ target: "/tmp", size: "64Mi" }, { target: "/run" }],
      shm: "32Mi",
      oomScore: 500,
      stopSignal: "SIGRTMIN+3",
    }),
  );
  expect(parsed).toMatchObject({
    ok: true,
    value: {
      container: {
        init: false,
        readOnlyRoot: true,
        groups: ["audio", "44"],
        umask: 0o27,
        capabilities: { add: ["net_raw"], drop: ["all"] },
        rlimits: { nofile: { soft: 4096, hard: 4096 }, core: { soft: 0, hard: "unlimited" } },
        sysctls: { "net.core.somaxconn": "1024", "kernel.shmmax": "65536" },
        mounts: [
          { kind: "tmpfs", target: "/tmp", sizeBytes: 64 * 2 ** 20 },
          { kind: "tmpfs", target: "/run" },
          { kind: "shm", target: "/dev/shm", sizeBytes: 32 * 2 ** 20 },
        ],
        oomScoreAdj: 500,
        stopSignal: 37,
      },
    },
  });
});

test("doing without the filter of system calls is kept, having it is not worth a word", () => {
  const kept = (seccomp: string) => {
    const parsed = parseJobDocument(document({ seccomp }));
    return parsed.ok ? parsed.value.container : parsed.error;
  };
  expect(kept("unconfined")).toEqual({ seccomp: "unconfined" });
  expect(kept("default")).toBeUndefined();
});

test("silence leaves the spec as it was", () => {
  const [silent, empty] = [parseJobDocument(document(undefined)), parseJobDocument(document({}))];
  expect(silent.ok && "container" in silent.value).toBe(false);
  expect(empty).toEqual(silent);
});

describe("refused, with the place", () => {
  test.each([
    [{ capabilities: { add: ["sys_admin"] } }, "/container/capabilities/add/0"],
    [{ umask: "999" }, "/container/umask"],
    [{ rlimits: { nofile: { soft: 10, hard: 5 } } }, "/container/rlimits/nofile/soft"],
    [{ rlimits: { nofile: -1 } }, "/container/rlimits/nofile"],
    [{ sysctls: { "kernel.core_pattern": 1 } }, "/container/sysctls/kernel.core_pattern"],
    [{ sysctls: { "net.ipv4.ip_forward": "1\n+" } }, "/container/sysctls/net.ipv4.ip_forward"],
    [{ tmpfs: [{ target: "/proc/x" }] }, "/container/tmpfs/0/target"],
    [{ tmpfs: [{ target: "/a" }, { target: "/a" }] }, "/container/tmpfs/1/target"],
    [{ tmpfs: [{ target: "/a", size: "1" }] }, "/container/tmpfs/0/size"],
    [{ shm: "lots" }, "/container/shm"],
    [{ stopSignal: "SIGKILL" }, "/container/stopSignal"],
    [{ stopSignal: "SIGRTMIN+31" }, "/container/stopSignal"],
    [{ oomScore: -1000 }, "/container/oomScore"],
    [{ seccomp: "none" }, "/container/seccomp"],
    [{ seccomp: { base: "none", defaultAction: "allow", rules: [] } }, "/container/seccomp"],
  ])("%j", (container, pointer) => {
    expect(errorsOf(document(container)).map((error) => error.pointer)).toEqual([pointer]);
  });
});

test("signals", () => {
  expect(["SIGHUP", "SIGTERM", "SIGCHLD", "SIGSYS", "SIGRTMIN", "SIGRTMIN+30"].map(signalOf)).toEqual([
    1, 15, 17, 31, 34, 64,
  ]);
  expect(["TERM0", "SIG", "SIGRTMIN+31", "SIGNONE"].map(signalOf)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

describe("limits that hold only when they are asked for", () => {
  const limits = (resources: object) => {
    const parsed = parseJobDocument(document(undefined, { resources }));
    return parsed.ok ? parsed.value.limits : parsed.error.errors?.map((error) => error.pointer);
  };

  test("are kept", () => {
    expect(
      limits({
        cpu: { request: 1, limit: 2, burst: "500m" },
        memory: { request: "64Mi", limit: "128Mi", high: "96Mi", low: "32Mi", swap: "1Gi" },
        io: { weight: 500 },
      }),
    ).toMatchObject({
      cpuMillis: 2000,
      cpuBurstMillis: 500,
      memoryHighBytes: 96 * 2 ** 20,
      memoryLowBytes: 32 * 2 ** 20,
      swapBytes: 2 ** 30,
      ioWeight: 500,
    });
  });

  test.each([
    [{ cpu: { burst: 1 } }, "/resources/cpu/burst"],
    [{ cpu: { request: 1, limit: 1, burst: 2 } }, "/resources/cpu/burst"],
    [{ memory: { limit: "64Mi", high: "65Mi" } }, "/resources/memory/high"],
    [{ memory: { limit: "64Mi", low: "65Mi" } }, "/resources/memory/low"],
    [{ memory: { limit: "64Mi", swap: "2000Ti" } }, "/resources/memory/swap"],
    [{ io: { weight: 0 } }, "/resources/io/weight"],
  ])("%j", (resources, pointer) => expect(limits(resources)).toEqual([pointer]));
});
