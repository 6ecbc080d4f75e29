/**
 * Three hosts on one machine: packing, a host that falls silent, its return. The whole time a watcher asks the API and
 * checks that no host has more booked than it may have.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { DIMENSIONS, type AllocationView, type HostView } from "@berth/schema";
import { archiveImage } from "../packages/agent/src/testing/registry.ts";
import { Cluster, eventually, finish, inside, kill, reboot, spawnBerth, type Up } from "./support/index.ts";

const cluster = new Cluster();
const overcommitted: string[] = [];
let looks = 0;
let watching = true;

/** From the API alone: what is reserved, and independently the sum of what all living allocations there request. */
const check = (hosts: readonly HostView[], allocations: readonly AllocationView[]): void => {
  for (const host of hosts) {
    const mine = allocations.filter(
      (one) => one.hostId === host.id && !["exited", "failed", "lost"].includes(one.state),
    );
    for (const dimension of DIMENSIONS) {
      const most = host.capacity.allocatable[dimension];
      const sum = mine.reduce((total, one) => total + one.resources[dimension], 0);
      if (host.reserved[dimension] > most || sum > most) {
        overcommitted.push(`${host.id} ${dimension}: reserved ${host.reserved[dimension]}, sum ${sum}, of ${most}`);
      }
    }
  }
};
const watch = async (): Promise<void> => {
  while (watching) {
    await Promise.all([cluster.hosts(), cluster.allocations()]).then(
      ([hosts, allocations]) => {
        check(hosts, allocations);
        looks += 1;
      },
      () => undefined,
    );
    await sleep(250);
  }
};
let watcher: Promise<void> = Promise.resolve();

let up: Up;
beforeAll(async () => {
  up = await cluster.up("--hosts", "3", "--network", "ingress=300M,egress=3G");
  await up.ready();
  watcher = watch();
});
afterAll(async () => {
  watching = false;
  await watcher;
  const left = await cluster.close();
  expect(left).toEqual([]);
  expect(execFileSync("ip", ["-o", "link"], { encoding: "utf8" })).not.toContain(cluster.tag);
});

const service = (name: string, replicas: number, cpu: string, memory: string) => ({
  name,
  kind: "service",
  image: "builtin://busybox",
  replicas,
  command: ["sh", "-c", "trap exit TERM; while true; do sleep 1 & wait $!; done"],
  resources: { cpu: { request: cpu }, memory: { request: memory }, pids: 16 },
  timeouts: { stop: "2s" },
});
const runningOf = (job: string) =>
  cluster.allocations(`&job=${job}`).then((all) => all.filter((one) => one.state === "running"));
/** The shell and its init; its `sleep` is another process every second. */
const lasting = (allocation: string): number[] =>
  inside(allocation).flatMap((one) => (one.command[0] === "sleep" ? [] : [one.pid]));
const settle = (job: string, count: number) =>
  eventually(`${count} tasks of ${job} run`, async () => {
    const now = await runningOf(job);
    for (const one of now) cluster.noteCgroups(one.id);
    return now.length === count && now;
  });

test("three hosts are ready, each with an honest share and a network of its own", async () => {
  const hosts = await eventually("three hosts", async () => {
    const all = await cluster.hosts();
    return all.length === 3 && all.every((host) => host.state === "ready") && all;
  });
  expect(hosts.map((host) => host.id)).toEqual(["host-1", "host-2", "host-3"]);
  const machine = hosts[0]?.inventory;
  const sum = hosts.reduce((total, host) => total + host.capacity.allocatable.memoryBytes, 0);
  expect(sum).toBeLessThanOrEqual(machine?.memoryBytes ?? 0);
  const namespaces = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  for (const host of hosts) expect(namespaces).toContain(`berth-${cluster.tag}-${host.id}`);
});

test("small tasks are packed together, large ones go where there is room", async () => {
  await cluster.submit(service("small", 3, "10m", "16Mi"));
  const small = await settle("small", 3);
  expect(new Set(small.map((one) => one.hostId)).size).toBe(1);
  const share = (await cluster.hosts())[0]?.capacity.allocatable ?? { cpuMillis: 0, memoryBytes: 0 };
  const large = service("large", 2, `${Math.floor(share.cpuMillis * 0.6)}m`, "32Mi");
  await cluster.submit(large);
  const placed = await settle("large", 2);
  expect(new Set(placed.map((one) => one.hostId)).size).toBe(2);
});

test("which host could be lost is answered before it is, and nothing changes by asking", async () => {
  const large = (await runningOf("large")).map((one): string => one.hostId);
  const before = await cluster.job("large");
  const losses = await cluster.must(["what-if"]);
  expect(losses).toMatch(/host-1 .*\nhost-2 .*\nhost-3 /s);
  expect(losses).not.toContain("would not fit");
  const one = await cluster.must(["what-if", "--lose", large[0] ?? "", "-o", "json"]);
  const free = ["host-1", "host-2", "host-3"].filter((host) => !large.includes(host));
  const moved = JSON.parse(one).placed.filter(({ job }: { job: string }) => job === "large");
  expect(moved).toMatchObject([{ from: large[0], to: free[0] }]);
  const two = await cluster.cli(["what-if", "--lose", large[0] ?? "", "--lose", free[0] ?? ""]);
  expect({ code: two.code, stdout: two.stdout }).toMatchObject({ code: 2, stdout: expect.stringMatching(/lacks cpu/) });
  expect(await cluster.job("large")).toEqual(before);
});

test("more than there is waits, and every host is named", async () => {
  const share = (await cluster.hosts())[0]?.capacity.allocatable.cpuMillis ?? 0;
  await cluster.submit(service("surplus", 2, `${Math.floor(share * 0.6)}m`, "16Mi"));
  const job = await eventually("one of two runs", async () => {
    const now = await cluster.job("surplus");
    return now.tasks.running === 1 && now.tasks.pending === 1 && now;
  });
  expect(job.pendingReason).toMatch(/host-1.*host-2.*host-3/s);
  await cluster.must(["stop", "surplus"]);
});

test("a host that is cut off is lost, its tasks run elsewhere, it restarts what it had, and returning it stops what was replaced", async () => {
  const [victim] = await runningOf("large");
  if (victim === undefined) throw new Error("nothing runs");
  const before = lasting(victim.id);
  expect(before.length).toBeGreaterThan(0);
  // Beside it one that may never run twice, and one that is to wait for its host.
  const preferred = { placement: { prefer: [{ rule: `host.id == "${victim.hostId}"`, weight: 100 }] } };
  await cluster.submit({ ...service("alone", 1, "10m", "16Mi"), ...preferred, disconnect: { singleton: true } });
  await cluster.submit({ ...service("loyal", 1, "10m", "16Mi"), ...preferred, disconnect: { action: "keep" } });
  const [[alone], [loyal]] = await Promise.all([settle("alone", 1), settle("loyal", 1)]);
  if (alone === undefined || loyal === undefined) throw new Error("nothing runs");
  expect([alone.hostId, loyal.hostId]).toEqual([victim.hostId, victim.hostId]);
  const link = (state: "up" | "down"): void =>
    void execFileSync("ip", ["link", "set", `bh${cluster.tag}-${victim.hostId.replace("host-", "")}`, state]);
  link("down");
  onTestFinished(() => link("up"));
  await eventually("the singleton has stopped where nobody can tell it to", () => inside(alone.id).length === 0);
  // Seen to be gone first; only then is there another.
  const attempts = await cluster.allocations("&job=alone");
  expect(
    attempts.filter(({ attempt }) => attempt > alone.attempt),
    JSON.stringify(attempts),
  ).toEqual([]);
  // Nobody can stop the others: they are untouched. Then it starts again, still cut off.
  expect(lasting(victim.id)).toEqual(before);
  await reboot(cluster, up, victim.hostId, [victim.id, loyal.id]);

  await eventually(
    `${victim.hostId} is lost`,
    async () => (await cluster.hosts()).find((host) => host.id === victim.hostId)?.state === "lost",
  );
  const elsewhere = await eventually("its task runs elsewhere", async () => {
    const now = (await runningOf("large")).find((one) => one.index === victim.index);
    return now !== undefined && now.id !== victim.id && now;
  });
  expect(elsewhere.hostId).not.toBe(victim.hostId);
  expect(elsewhere.attempt).toBe(victim.attempt + 1);
  const again = await eventually("the singleton runs elsewhere", async () => {
    const [now] = await runningOf("alone");
    return now !== undefined && now.id !== alone.id && now;
  });
  expect(again.hostId).not.toBe(victim.hostId);
  expect((await cluster.allocations("&job=loyal")).map((one) => one.id)).toEqual([loyal.id]);

  // It has run on what it had, but not what may be elsewhere by now.
  await eventually("it restarts its last assignment", () => inside(loyal.id).length > 0);
  expect(inside(alone.id)).toEqual([]);
  expect((await cluster.hosts()).find((host) => host.id === victim.hostId)?.state).toBe("lost");

  link("up");
  await eventually("the host is back", async () => (await cluster.hosts()).every((host) => host.state === "ready"));
  await eventually("the replaced container is stopped", () => inside(victim.id).length === 0);
  const history = await cluster.allocations(`&job=large&index=${victim.index}`);
  expect(history.find((one) => one.id === victim.id)?.state).toBe("lost");
  expect((await runningOf("large")).find((one) => one.index === victim.index)?.id).toBe(elsewhere.id);
  expect((await runningOf("alone")).map((one) => one.id)).toEqual([again.id]);
  expect((await runningOf("loyal")).map((one) => one.id)).toEqual([loyal.id]);
  for (const job of ["alone", "loyal"]) await cluster.must(["stop", job]);
});

test("an agent that is killed over and over keeps its containers", async () => {
  const [one] = await runningOf("small");
  if (one === undefined) throw new Error("nothing runs");
  const before = lasting(one.id);
  for (let round = 0; round < 3; round += 1) {
    const agent = await eventually("an agent", () => cluster.agentOf(one.hostId));
    kill(agent.pid, "SIGKILL");
    await eventually("another agent", () => cluster.agentOf(one.hostId).pid !== agent.pid);
  }
  await eventually("all hosts are ready", async () => (await cluster.hosts()).every((host) => host.state === "ready"));
  expect((await runningOf("small")).some((now) => now.id === one.id)).toBe(true);
  expect(lasting(one.id)).toEqual(before);
});

test("a host is emptied: the plan comes first, Ctrl-C ends the wait only, a cordon cancels, a deadline ends it", async () => {
  const [one] = await runningOf("small");
  if (one === undefined) throw new Error("nothing runs");
  const { hostId } = one;
  const held = async (): Promise<number> =>
    (await cluster.allocations(`&host=${hostId}`)).filter(({ state }) => state === "running").length;
  const hostState = async () => (await cluster.hosts()).find(({ id }) => id === hostId)?.state;
  const placement = { require: [`host.id == "${hostId}"`] };
  const { replicas: _none, ...patient } = service("patient", 1, "10m", "16Mi");
  await cluster.submit({ ...patient, kind: "batch", placement });
  await settle("patient", 1);
  const planned = await cluster.cli(["host", "drain", hostId, "--dry-run"]);
  expect(planned).toMatchObject({ code: 0, stdout: "" });
  expect(planned.stderr).toMatch(/default\/small\[\d\] {2}moves to host-\d/);
  expect(planned.stderr).toContain("default/patient[0]  may end by itself until the deadline");
  expect(await hostState()).toBe("ready");

  // Services go elsewhere; whoever waits for the rest may stop waiting.
  const waiting = spawnBerth(["host", "drain", hostId, "--deadline", "1h"], { BERTH_DATA_DIR: cluster.dataDir });
  const waited = finish(waiting, ["host", "drain"], {});
  await eventually("only the batch task is left", async () => (await held()) === 1);
  waiting.kill("SIGINT");
  expect(await waited).toMatchObject({ code: 130, stderr: expect.stringContaining("is being drained all the same") });
  expect(await hostState()).toBe("draining");
  expect((await runningOf("small")).every((now) => now.hostId !== hostId)).toBe(true);
  await cluster.must(["host", "cordon", hostId]);
  expect([await hostState(), await held()]).toEqual(["cordoned", 1]);

  const done = await cluster.cli(["host", "drain", hostId, "--deadline", "0s"]);
  expect(done, done.stderr).toMatchObject({ code: 0 });
  expect(done.stderr).toMatch(/still holds 1 task[^]*is empty and takes nothing new/);
  expect([await hostState(), await held()]).toEqual(["cordoned", 0]);
  await cluster.must(["host", "uncordon", hostId]);
  await cluster.must(["stop", "patient"]);
  await settle("small", 3);
});

test("a daemon runs once on every host: on a closed one too, until a drain has ended, and again when it is open", async () => {
  const { replicas: _none, ...program } = service("watch", 1, "10m", "16Mi");
  await cluster.submit({ ...program, kind: "daemon" });
  const all = await settle("watch", 3);
  expect(all.map(({ hostId }) => hostId).toSorted()).toEqual(["host-1", "host-2", "host-3"]);
  expect(await cluster.must(["job", "watch"])).toContain("3, one for each host");

  const first = all.find(({ hostId }) => hostId === "host-2");
  if (first === undefined) throw new Error("none on host-2");
  await cluster.must(["host", "cordon", "host-2"]);
  for (const pid of lasting(first.id)) kill(pid, "SIGKILL");
  await eventually("it is started anew on the closed host", async () =>
    (await runningOf("watch")).some((now) => now.index === first.index && now.hostId === "host-2" && now.attempt > 1),
  );

  const planned = await cluster.cli(["host", "drain", "host-2", "--dry-run"]);
  expect(planned.stderr).toContain(`default/watch[${first.index}]  stops when all others have left: it is a daemon`);
  const done = await cluster.cli(["host", "drain", "host-2", "--deadline", "0s"]);
  expect(done, done.stderr).toMatchObject({ code: 0 });
  expect((await runningOf("watch")).map(({ hostId }) => hostId).toSorted()).toEqual(["host-1", "host-3"]);
  const why = (await cluster.must(["why", `watch[${first.index}]`])).split("\n");
  const lines = [`default/watch[${first.index}] does not run: host-2 is drained`, "  not on 1 host:"];
  expect(why.slice(0, 3)).toEqual([...lines, "    host-2: host-2 is drained"]);
  expect(await cluster.must(["why", "watch", "--not", "host-2"])).toContain(
    "host-2 is drained, so default/watch has no",
  );
  await cluster.must(["host", "uncordon", "host-2"]);
  await settle("watch", 3);
  await cluster.must(["stop", "watch"]);
  await settle("small", 3);
});

test("ports by number are one task's on each host: it finds them in its environment, and why names whose they are", async () => {
  const loop = "trap exit TERM; while true; do sleep 1 & wait $!; done";
  const web = {
    ...service("web", 4, "10m", "16Mi"),
    command: ["sh", "-c", `echo "http $BERTH_PORT_HTTP, admin $BERTH_PORT_ADMIN"; ${loop}`],
    ports: [{ name: "http", port: 8080 }, { name: "admin" }],
  };
  await cluster.submit(web);
  const all = await settle("web", 3);
  expect(all.map(({ hostId }) => hostId).toSorted()).toEqual(["host-1", "host-2", "host-3"]);
  for (const { index, ports } of all) {
    expect(ports).toEqual([
      { name: "http", port: 8080 },
      { name: "admin", port: 20_000 },
    ]);
    const said = "http 8080, admin 20000\n";
    await eventually("it says what it found", async () => (await cluster.must(["logs", `web[${index}]`])) === said);
  }
  const waiting = [0, 1, 2, 3].find((index) => all.every((one) => one.index !== index));
  const why = await cluster.must(["why", `web[${waiting}]`]);
  for (const { hostId, index } of all)
    expect(why).toContain(`port 8080 of ${hostId} is taken by default/web[${index}]`);
  await cluster.must(["stop", "web"]);
  await eventually("all of them are gone", async () => (await runningOf("web")).length === 0);
});

test("bandwidth is shared between the hosts and booked; who finds too little of it is told how much is short", async () => {
  for (const { capacity } of await cluster.hosts())
    expect(capacity.allocatable.more).toMatchObject({ netIngressBits: 100_000_000, netEgressBits: 1_000_000_000 });
  const stream = service("stream", 4, "10m", "16Mi");
  await cluster.submit({ ...stream, resources: { ...stream.resources, network: { egress: "600M" } } });
  const all = await settle("stream", 3);
  expect(all.map(({ hostId }) => hostId).toSorted()).toEqual(["host-1", "host-2", "host-3"]);
  const waiting = [0, 1, 2, 3].find((index) => all.every((one) => one.index !== index));
  const why = await cluster.must(["why", `stream[${waiting}]`]);
  for (const host of ["host-1", "host-2", "host-3"]) {
    expect(why).toContain(`${host} lacks network egress (200 Mbit/s short)`);
    expect(why).toContain(`${host}: 400 Mbit/s network egress free, 200 Mbit/s network egress short`);
  }
  expect(await cluster.must(["hosts", "-o", "wide"])).toContain("network egress 600 Mbit/s of 1 Gbit/s");
  const large = service("mirror", 1, "10m", "16Mi");
  const file = join(cluster.dataDir, "mirror.json");
  writeFileSync(file, JSON.stringify({ ...large, resources: { ...large.resources, network: { ingress: "250M" } } }));
  const { stdout } = await cluster.cli(["plan", file]);
  expect(stdout).toContain("too small (network ingress: 150 Mbit/s more than it has in all)");
  await cluster.must(["stop", "stream"]);
  await eventually("all of them are gone", async () => (await runningOf("stream")).length === 0);
});

test("no host ever had more booked than it may have", () => {
  expect(looks).toBeGreaterThan(20);
  expect(overcommitted).toEqual([]);
});

test("an image that was imported to one host runs on every other, which takes it from there", async () => {
  const directory = await mkdtemp(join(tmpdir(), "berth-e2e-hosts-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const archive = join(directory, "shared.tar");
  archiveImage(directory, archive, {
    layers: [{ "bin/busybox": readFileSync("/bin/busybox") }, { "etc/motd": "from afar" }],
  });
  const image = "oci://local/shared:1";
  const imported = await cluster.cli(["image", "import", archive, image, "--copies", "1"]);
  expect(imported.stderr).toContain(image);
  const here = (await cluster.cli(["image", "ls", "-o", "json"])).stdout;
  expect(JSON.parse(here).items).toHaveLength(1);
  const holder = JSON.parse(here).items[0].host as string;

  const document = join(directory, "everywhere.json");
  const command = ["/bin/busybox", "cat", "/etc/motd"];
  const resources = { cpu: { request: "20m" }, memory: { request: "32Mi" } };

  // Its host told that it has the image, and the others say how much they would fetch.
  const spread = join(directory, "spread.json");
  const each = { array: { size: 3 }, placement: { maxPerHost: 1 } };
  writeFileSync(spread, JSON.stringify({ name: "spread", kind: "batch", image, command, resources, ...each }));
  const planned = await eventually("the plan knows where the image is", async () => {
    const { stdout } = await cluster.cli(["plan", spread]);
    return stdout.includes("which has its image") ? stdout : undefined;
  });
  expect(planned).toContain(`would be placed on ${holder}, which has its image`);
  expect(planned.match(/which fetches [\d.]+ [KM]iB of its image from another host first/g)).toHaveLength(2);
  const placement = { spread: [{ by: "host", maxSkew: 1 }] };
  writeFileSync(
    document,
    JSON.stringify({ name: "everywhere", kind: "batch", image, command, array: { size: 6 }, resources, placement }),
  );
  const run = await cluster.cli(["run", "--wait", document]);
  expect(run.code, run.stderr).toBe(0);
  const ran = await cluster.allocations("&job=everywhere");
  expect(new Set(ran.map((one) => one.hostId)).size).toBe(3);
  const after = JSON.parse((await cluster.cli(["image", "ls", "-o", "json"])).stdout);
  const sources = after.items.map((item: { image: { source: string } }) => item.image.source);
  expect(sources.toSorted()).toEqual(["cluster", "cluster", "import"]);
  expect((await cluster.cli(["events"])).stdout).toMatch(/the image oci:\/\/local\/shared:1 is sha256:[0-9a-f]{64}/);

  // A host that has something else under the name, and newer, says what it likes: nobody has called it so.
  const liar = ran.find((one) => one.hostId !== holder)?.hostId ?? "";
  archiveImage(directory, archive, {
    layers: [{ "bin/busybox": readFileSync("/bin/busybox") }, { "etc/motd": "a lie" }],
  });
  const order = { hosts: [liar], request: { kind: "import", name: image } };
  const begun = await cluster.fetch("/v1/images/operations", {
    ...{ method: "POST", body: JSON.stringify(order), headers: { "content-type": "application/json" } },
  });
  const { id } = (await begun.json()) as { id: string };
  const lie = readFileSync(archive);
  for (let offset = 0; offset < lie.length; offset += 2 ** 20) {
    const body = lie.subarray(offset, offset + 2 ** 20);
    const query = `hosts=${liar}&offset=${offset}&last=${offset + body.length === lie.length}`;
    const headers = { "content-type": "application/octet-stream" };
    const sent = await cluster.fetch(`/v1/image-operations/${id}/data?${query}`, { method: "POST", body, headers });
    expect(sent.status, await sent.text()).toBe(200);
  }
  await eventually("the lie is there", async () => {
    const there = JSON.parse((await cluster.cli(["image", "inspect", image, "--host", liar])).stdout);
    return there.items[0].image.source === "import";
  });
  const saidEverywhere = async (): Promise<string[]> => {
    const { code, stderr } = await cluster.cli(["run", "--wait", spread]);
    expect(code, stderr).toBe(0);
    return Promise.all([0, 1, 2].map(async (at) => (await cluster.must(["logs", `spread[${at}]`])).trim()));
  };
  expect(await saidEverywhere()).toEqual(["from afar", "from afar", "from afar"]);

  // Until somebody with the right to do so says it.
  const named = await cluster.cli(["image", "import", archive, image, "--host", liar]);
  expect(named.code, named.stderr).toBe(0);
  expect(await saidEverywhere()).toEqual(["a lie", "a lie", "a lie"]);
});

test("an image that no host has says what to do", async () => {
  const pulled = await cluster.cli(["image", "pull", "oci://local/nobody:1"]);
  expect(pulled.code).toBe(1);
  expect(pulled.stderr).toContain(
    "no other host that answers has oci://local/nobody:1, as the cluster knows it: import it",
  );
});
