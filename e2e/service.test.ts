/**
 * What a container is, read by hand on the host: its processes, namespaces, privileges and cgroup files. And a service that
 * loses a process gets it back.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AllocationView, VolumeDetail, VolumeList } from "@berth/schema";
import { Cluster, eventually, inside, kill, namespaceOf, processes, statusOf } from "./support/index.ts";

const cluster = new Cluster();
afterAll(async () => expect(await cluster.close()).toEqual([]));

const running = async (): Promise<AllocationView[]> =>
  (await cluster.allocations("&job=ticker&state=running")).toSorted((a, b) => a.index - b.index);
const threeRunning = () =>
  eventually("three replicas run", async () => {
    const all = await running();
    return all.length === 3 && all;
  });

/** The shell that the document names, not Berth's own init in front of it. */
const programOf = (allocation: AllocationView): number => {
  const found = inside(allocation.id).find((one) => one.command[0] === "sh");
  if (found === undefined) throw new Error(JSON.stringify(inside(allocation.id)));
  return found.pid;
};

/** The value of a limit on this host: `v1` or `v2` file of the hierarchy that has the controller. */
const limitOf = (pid: number, controller: string, v1: string, v2: string): string => {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
  for (const line of lines) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const root = controllers === "" ? ["", "unified"] : [controllers];
    const wanted = controllers === "" ? v2 : v1;
    if (controllers !== "" && !controllers.split(",").includes(controller)) continue;
    for (const name of root) {
      const file = join("/sys/fs/cgroup", name, path, wanted);
      if (existsSync(file)) return readFileSync(file, "utf8").trim();
    }
  }
  throw new Error(`no ${v1} or ${v2} for ${lines.join(" ")}`);
};

let replicas: AllocationView[];
beforeAll(async () => {
  await (await cluster.up()).ready();
  await cluster.must(["run", "examples/service.yaml"]);
  replicas = await threeRunning();
  for (const one of replicas) cluster.noteCgroups(one.id);
});

describe("the cgroup of a replica", () => {
  test("is named after the allocation, and holds nothing else", () => {
    for (const one of replicas) {
      const processes = inside(one.id);
      expect(processes.length).toBeGreaterThan(0);
      for (const other of replicas)
        if (other !== one) expect(processes.some((process) => process.cgroups.includes(other.id))).toBe(false);
    }
  });

  test("limits memory to 32 MiB", () => {
    for (const one of replicas) {
      expect(limitOf(programOf(one), "memory", "memory.limit_in_bytes", "memory.max")).toBe(String(32 * 2 ** 20));
    }
  });

  test("limits processes to 16", () => {
    for (const one of replicas) expect(limitOf(programOf(one), "pids", "pids.max", "pids.max")).toBe("16");
  });

  test("gives half a CPU at most, and a twentieth when CPUs are contended", () => {
    for (const one of replicas) {
      const pid = programOf(one);
      const quota = limitOf(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split(" ");
      const period = quota[1] ?? limitOf(pid, "cpu", "cpu.cfs_period_us", "cpu.max");
      expect(Number(quota[0]) / Number(period)).toBe(0.5);
      expect(["51", "5"]).toContain(limitOf(pid, "cpu", "cpu.shares", "cpu.weight"));
    }
  });
});

/** What is in /dev/shm is memory in use that cannot be taken back. */
test("other limits of a job hold without a restart; what a host cannot apply is said, and the former ones hold", async () => {
  const document = (memory: string, cpu: string) => ({
    name: "resized",
    kind: "service",
    image: "builtin://busybox",
    command: ["sh", "-c", "head -c 24m /dev/zero > /dev/shm/held; sleep 1000; true"],
    resources: { cpu: { request: "50m", limit: cpu }, memory: { request: "16Mi", limit: memory } },
  });
  const submit = (memory: string, cpu: string) =>
    cluster.must(["run", "-"], { stdin: JSON.stringify(document(memory, cpu)) });
  const only = async (): Promise<AllocationView | undefined> =>
    (await cluster.allocations("&job=resized&state=running"))[0];
  await submit("64Mi", "500m");
  const first = await eventually("it uses its memory", async () => {
    const one = await only();
    return (one?.usage?.memoryBytes ?? 0) > 20 * 2 ** 20 && one;
  });
  cluster.noteCgroups(first.id);
  const pid = programOf(first);
  const memory = (): string => limitOf(pid, "memory", "memory.limit_in_bytes", "memory.max");
  expect(memory()).toBe(`${64 * 2 ** 20}`);
  await submit("96Mi", "750m");
  await eventually("the kernel has the new ones", () => memory() === `${96 * 2 ** 20}`);
  expect(programOf(first)).toBe(pid);
  expect(limitOf(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split(" ")[0]).toBe("15000");
  await submit("17Mi", "750m");
  const told = await eventually("it says why not", async () => (await only())?.usage?.limitsRefused);
  expect(told).toContain("EBUSY");
  expect(await cluster.must(["ps"])).toMatch(/resized.* old limits /);
  expect(memory()).toBe(`${96 * 2 ** 20}`);
  await submit("80Mi", "750m");
  await eventually("what it can do holds again", () => memory() === `${80 * 2 ** 20}`);
  expect(await only()).toMatchObject({ id: first.id, attempt: first.attempt });
  await cluster.must(["stop", "resized"]);
});

describe("the processes of a replica", () => {
  test.each(["user", "pid", "mnt", "uts", "ipc", "net", "cgroup"])("have a %s namespace of their own", (kind) => {
    const seen = replicas.map((one) => namespaceOf(programOf(one), kind));
    expect(new Set([...seen, namespaceOf("self", kind)]).size).toBe(4);
  });

  test("gain nothing: no new privileges, a filter, a short list of capabilities, an unprivileged user", () => {
    const users = replicas.map((one) => {
      const status = statusOf(programOf(one));
      expect(status.get("NoNewPrivs")).toBe("1");
      expect(status.get("Seccomp")).toBe("2");
      // chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot setfcap
      for (const set of ["CapEff", "CapPrm", "CapBnd"])
        expect([set, status.get(set)]).toEqual([set, "00000000800405fb"]);
      for (const set of ["CapInh", "CapAmb"]) expect([set, status.get(set)]).toEqual([set, "0000000000000000"]);
      return Number(status.get("Uid")?.split("\t")[0]);
    });
    for (const user of users) expect(user).toBeGreaterThan(65_535);
    // Ranges of 65,536 ids that never overlap.
    expect(new Set(users.map((user) => Math.floor(user / 65_536))).size).toBe(3);
  });

  test("see themselves as the only ones, as root, on a host named after the task", async () => {
    const probe = {
      name: "probe",
      kind: "batch",
      image: "builtin://busybox",
      command: [
        "sh",
        "-c",
        "id -u; ls -d /proc/[0-9]* | wc -l; ls /proc/1/fd 2>&1 | head -1; ls /dev | grep -c sd; dmesg 2>&1 | head -1; mount -t tmpfs x /tmp 2>&1 | head -1; ip link | grep -c ': '",
      ],
    };
    const done = await cluster.cli(["run", "-"], { stdin: JSON.stringify(probe) });
    const [user, processes, init, disks, log, mount, links] = done.stdout.split("\n");
    expect({ user, init, disks, links }).toMatchObject({ user: "0", disks: "0", links: "1" });
    expect(Number(processes)).toBeLessThanOrEqual(6);
    expect(init).toMatch(/denied|not permitted/i);
    expect(log).toMatch(/not permitted/i);
    expect(mount).toMatch(/denied|not permitted/i);
  });
});

test("a replica that is killed is started again, and the others never notice", async () => {
  const [first, ...others] = replicas;
  if (first === undefined) throw new Error("no replica");
  const pids = others.map(programOf);
  kill(programOf(first), "SIGKILL");
  const again = await eventually("another attempt runs", async () => {
    const now = (await running()).find((one) => one.index === first.index);
    return now !== undefined && now.id !== first.id && now;
  });
  expect(again.attempt).toBe(first.attempt + 1);
  const [ended] = (await cluster.allocations(`&job=ticker&index=${first.index}`)).filter((one) => one.id === first.id);
  expect(ended?.exit).toMatchObject({ code: 137, signal: 9, cause: "signalled", oom: false });
  expect(others.map(programOf)).toEqual(pids);
  expect((await cluster.job("ticker")).tasks).toMatchObject({ running: 3 });
  cluster.noteCgroups(again.id);
});

test("a replica whose supervisor is killed dies with it, is reported as such, and is started again", async () => {
  const [, second] = await threeRunning();
  if (second === undefined) throw new Error("no replica");
  const program = programOf(second);
  const init = processes().find((one) => one.pid === processes().find((other) => other.pid === program)?.parent);
  if (init === undefined) throw new Error("no init");
  expect(inside(second.id).map((one) => one.pid)).toContain(init.pid);
  kill(init.parent, "SIGKILL");
  await eventually("nothing of it is left", () => inside(second.id).length === 0);
  const again = await eventually("another attempt runs", async () => {
    const now = (await running()).find((one) => one.index === second.index);
    return now !== undefined && now.id !== second.id && now;
  });
  cluster.noteCgroups(again.id);
  const ended = (await cluster.allocations(`&job=ticker&index=${second.index}`)).find((one) => one.id === second.id);
  expect(ended?.exit).toMatchObject({ cause: "supervisor_lost" });
  expect((await cluster.job("ticker")).tasks).toMatchObject({ running: 3 });
});

test("a replica that is asked to stop may say goodbye", async () => {
  const [one] = await threeRunning();
  await cluster.must(["stop", "ticker"]);
  expect(await cluster.must(["logs", `ticker[${one?.index ?? 0}]`])).toContain(": stopping");
  const job = await cluster.job("ticker");
  expect(job).toMatchObject({ state: "stopped", tasks: { running: 0 } });
  await eventually("their processes are gone", () => replicas.every((replica) => inside(replica.id).length === 0));
});

describe("a volume", () => {
  const job = (name: string, text: string) => ({
    ...{ name, kind: "batch", image: "builtin://busybox", command: ["sh", "-c", text] },
    resources: { cpu: { request: "10m" }, memory: { request: "16Mi" } },
    volumes: [{ volume: "e2e-${INDEX}", target: "/data" }],
  });

  test("outlives the job that made it, is listed with who uses it, and is removed with its data", async () => {
    await cluster.submit(job("writer", "echo kept > /data/file"));
    await cluster.finished("writer");
    await cluster.submit(job("reader", "cat /data/file; until [ -e /data/stop ]; do sleep 0.1; done"));
    const found = await eventually("somebody uses it", async () => {
      const { items } = JSON.parse(await cluster.must(["volume", "ls", "-o", "json"])) as VolumeList;
      return items[0]?.usedBy.length === 1 ? items[0] : undefined;
    });
    expect(found).toMatchObject({ name: "e2e-0", state: "ready", hostState: "ready", createdBy: "default/writer" });
    expect(found.usedBy).toMatchObject([{ job: "reader", index: 0, readOnly: false }]);
    const refused = await cluster.cli(["volume", "rm", "e2e-0"]);
    expect(refused).toMatchObject({
      code: 75,
      stderr: expect.stringContaining("default/reader[0] uses default/e2e-0"),
    });
    await eventually("the reader has read", async () => (await cluster.must(["logs", "reader"])).includes("kept"));
    await cluster.must(["stop", "reader"]);
    const inspected = JSON.parse(await cluster.must(["volume", "inspect", "e2e-0"])) as VolumeDetail;
    expect(inspected).toMatchObject({ volume: { usedBy: [] }, onHost: { entries: 1 } });
    const directory = join(cluster.dataDir, "hosts", found.host, "volumes");
    expect(readFileSync(join(directory, found.id, "data", "file"), "utf8")).toBe("kept\n");
    await cluster.must(["volume", "snapshot", "e2e-0", "kept"]);
    await cluster.must(["volume", "rm", "e2e-0"]);
    await cluster.submit({
      ...job("later", "cat /data/file; touch /data/x || echo read-only"),
      volumes: [{ volume: "kept", target: "/data", readOnly: true }],
    });
    await cluster.finished("later");
    expect(await cluster.must(["logs", "later"])).toContain("kept\nread-only");
    await cluster.must(["volume", "rm", "kept"]);
    expect(existsSync(join(directory, found.id))).toBe(false);
    expect(await cluster.cli(["volume", "inspect", "e2e-0"])).toMatchObject({ code: 66 });
  });

  test("can be made before anything mounts it, and names are taken once", async () => {
    expect(await cluster.must(["volume", "create", "made", "-o", "name"])).toBe("default/made\n");
    expect(await cluster.cli(["volume", "create", "made", "--size", "1Mi"])).toMatchObject({ code: 65 });
    const huge = await cluster.cli(["volume", "create", "huge", "--size", "900Ti"]);
    expect(huge).toMatchObject({ code: 75, stderr: expect.stringContaining("has 900 TiB of disk left") });
    expect(await cluster.must(["volume", "ls"])).toMatch(/default\/made +new +\S+ +- +- /);
    await cluster.must(["volume", "rm", "made"]);
  });
});
