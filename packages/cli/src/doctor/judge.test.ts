import { describe, expect, test } from "vitest";
import { checksText } from "../commands/doctor.ts";
import { createColors } from "../output/style.ts";
import type { Facts } from "./facts.ts";
import { judge, kernelAtLeast } from "./judge.ts";

const good: Facts = {
  uid: 0,
  node: "20.19.0",
  kernel: "6.1.0-13-amd64",
  namespaces: ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"],
  maxUserNamespaces: 63_000,
  aioMaxNr: 2 ** 24,
  memoryBytes: 2 ** 30,
  filesystems: ["ext4", "overlay"],
  overlayLoadable: false,
  seccompActions: ["kill_process", "kill_thread", "trap", "errno", "trace", "log", "allow"],
  cgroup: { kind: "v2", missing: [] },
  pressure: true,
  programs: {
    "nats-server": "/usr/sbin/nats-server",
    nft: "/usr/sbin/nft",
    ip: "/usr/sbin/ip",
    nsenter: "/usr/bin/nsenter",
    flock: "/usr/bin/flock",
    setpriv: "/usr/bin/setpriv",
    busybox: "/bin/busybox",
  },
  natsVersion: "2.9.10",
  nativeBuilt: true,
  ports: [
    { what: "API", host: "127.0.0.1", port: 8640, free: true, holder: undefined, ours: false },
    { what: "NATS", host: "127.0.0.1", port: 4640, free: true, holder: undefined, ours: false },
  ],
  dataDir: { path: "/var/lib/berth", filesystem: "ext4", freeBytes: 50 * 2 ** 30, writable: true },
  nowMs: Date.UTC(2026, 10, 23),
  builtAtMs: Date.UTC(2026, 10, 20),
};

const notOk = (facts: Partial<Facts>) =>
  judge({ ...good, ...facts })
    .filter((check) => check.status !== "ok")
    .map(({ id, status }) => `${id}: ${status}`);

describe("the doctor", () => {
  test("finds nothing on a good machine", () => {
    expect(notOk({})).toEqual([]);
    expect(checksText(judge(good), { width: 100, colors: createColors(false) })).toMatchSnapshot();
  });

  test("of a machine with nothing says everything, with what to do", () => {
    const bare: Facts = {
      ...good,
      uid: 1000,
      node: "18.19.0",
      kernel: "4.19.0",
      namespaces: ["mnt", "pid"],
      maxUserNamespaces: 0,
      filesystems: ["ext4"],
      seccompActions: [],
      cgroup: { kind: "v1", missing: ["The pids controller is missing: the number of processes is not limited."] },
      pressure: false,
      programs: {
        "nats-server": undefined,
        nft: undefined,
        ip: undefined,
        nsenter: undefined,
        flock: undefined,
        setpriv: undefined,
        busybox: undefined,
      },
      natsVersion: undefined,
      nativeBuilt: false,
      ports: [{ what: "API", host: "127.0.0.1", port: 8640, free: false, holder: "node (pid 7)", ours: false }],
      dataDir: { path: "/mnt/x", filesystem: "nfs", freeBytes: 5, writable: false },
      nowMs: 0,
    };
    expect(checksText(judge(bare), { width: 100, colors: createColors(false) })).toMatchSnapshot();
    expect(judge(bare).every((check) => check.status === "ok" || check.fix !== null)).toBe(true);
  });

  test.each<[string, Partial<Facts>, string[]]>([
    ["an overlayfs that can be loaded", { filesystems: [], overlayLoadable: true }, []],
    ["few user namespaces", { maxUserNamespaces: 100 }, ["user namespaces: warn"]],
    ["a kernel without asynchronous I/O", { aioMaxNr: undefined }, []],
    ["as much asynchronous I/O as a kernel comes with", { aioMaxNr: 65_536 }, ["asynchronous I/O: warn"]],
    ["no freezer", { cgroup: { kind: "v1", missing: ["The freezer controller is missing: …"] } }, ["cgroups: warn"]],
    ["cgroups that cannot be read", { cgroup: { error: "ENOENT" } }, ["cgroups: bad"]],
    ["an old nats-server", { natsVersion: "2.8.4" }, ["nats-server: bad"]],
    ["a full disk", { dataDir: { ...good.dataDir, freeBytes: 1000 } }, ["data directory: warn"]],
    ["an overlay as data directory", { dataDir: { ...good.dataDir, filesystem: "overlay" } }, ["data directory: warn"]],
    [
      "a port held by its own cluster",
      { ports: [{ what: "API", host: "127.0.0.1", port: 8640, free: false, holder: "node (pid 7)", ours: true }] },
      [],
    ],
  ])("%s", (_name, facts, expected) => {
    expect(notOk(facts)).toEqual(expected);
  });

  test.each([
    ["5.10.0-30-amd64", 5, 10, true],
    ["5.9.16", 5, 10, false],
    ["6.0", 5, 10, true],
    ["4.19.0", 5, 10, false],
  ])("kernel %s is at least %i.%i: %s", (kernel, major, minor, expected) => {
    expect(kernelAtLeast(kernel, major, minor)).toBe(expected);
  });
});
