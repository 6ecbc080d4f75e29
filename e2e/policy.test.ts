/**
 * Who goes first on a cluster that is full, with containers: preemption and its budgets, also through a kill -9 of the
 * scheduler between the decision and the victim's end; gangs; backfill by run limits; shares of projects. Two hosts of four
 * slots each: a slot is a quarter of a host's processors.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { isTerminal, type AllocationView } from "@berth/schema";
import { Cluster, eventually, inside, kill } from "./support/index.ts";

const cluster = new Cluster();
const HOSTS = 2;
const PER_HOST = 4;
const SLOTS = HOSTS * PER_HOST;
let slot = 0;

beforeAll(async () => {
  const up = await cluster.up("--hosts", `${HOSTS}`);
  await up.ready();
  const hosts = await eventually("both hosts are ready", async () => {
    const all = await cluster.hosts();
    return all.length === HOSTS && all.every((host) => host.state === "ready") && all;
  });
  slot = Math.floor(Math.min(...hosts.map((host) => host.capacity.allocatable.cpuMillis)) / PER_HOST);
});
afterAll(async () => expect(await cluster.close()).toEqual([]));

/** Nothing of the last test runs any more. */
beforeEach(async () => {
  for (const { project, job } of (await cluster.allocations()).filter((one) => !isTerminal(one.state)))
    await cluster.cli(["stop", job, "--project", project]);
  await eventually("everything has ended", async () => (await living()).length === 0);
});

const LASTING = "trap exit TERM; while true; do sleep 1 & wait $!; done";
const document = (name: string, more: object, slots = 1) => ({
  name,
  kind: "service",
  image: "builtin://busybox",
  command: ["sh", "-c", LASTING],
  resources: { cpu: { request: `${slot * slots}m` }, memory: { request: "16Mi" }, pids: 16 },
  timeouts: { stop: "2s" },
  ...more,
});
const living = async (job?: string): Promise<AllocationView[]> => {
  const all = await cluster.allocations(job === undefined ? "" : `&job=${job}`);
  for (const one of all) cluster.noteCgroups(one.id);
  return all.filter((one) => !isTerminal(one.state));
};
const attempts = (job: string): Promise<AllocationView[]> => cluster.allocations(`&job=${job}`);
const running = (job: string, count: number) =>
  eventually(`${count} tasks of ${job} run`, async () => {
    const now = (await living(job)).filter((one) => one.state === "running");
    return now.length === count && now;
  });
const waiting = (job: string, count: number) =>
  eventually(`${count} tasks of ${job} wait`, async () => (await cluster.job(job)).tasks.pending === count);
const why = (task: string, ...more: readonly string[]) =>
  cluster.cli(["why", task, ...more]).then(({ stdout, stderr }) => stdout + stderr);
const batch = (name: string, seconds: number, more: object, slots = 1) => ({
  ...document(name, more, slots),
  kind: "batch",
  command: ["sh", "-c", `trap exit TERM; sleep ${seconds} & wait $!`],
});

test("what matters more gets the room of the fewest that matter least, and they come back when it has gone", async () => {
  await cluster.submit(document("filler", { replicas: SLOTS - 2, priority: "besteffort" }));
  await cluster.submit(document("middle", { replicas: 2, priority: "batch" }));
  await running("filler", SLOTS - 2);
  const kept = await running("middle", 2);
  const file = join(cluster.dataDir, "urgent.json");
  writeFileSync(file, JSON.stringify(document("urgent", {})));
  expect(await cluster.must(["plan", file])).toContain("filler");
  await cluster.submit(document("urgent", {}));
  const [urgent] = await running("urgent", 1);
  const victims = (await attempts("filler")).filter((one) => one.reason === "preempted");
  expect(victims).toMatchObject([
    { hostId: urgent?.hostId, desired: "stop", preemptedBy: { project: "default", job: "urgent", index: 0 } },
  ]);
  await waiting("filler", 1);
  expect((await living("filler")).length).toBe(SLOTS - 3);
  expect((await living("middle")).map((one) => one.id).toSorted()).toEqual(kept.map((one) => one.id).toSorted());
  await cluster.must(["stop", "urgent"]);
  const back = await running("filler", SLOTS - 2);
  expect(back.filter((one) => one.attempt === 2).map((one) => one.index)).toEqual(victims.map((one) => one.index));
});

test("a disruption budget is not exceeded for anybody", async () => {
  const disruption = { maxUnavailable: 1 };
  await cluster.submit(document("guarded", { replicas: SLOTS, priority: "besteffort", disruption }));
  await running("guarded", SLOTS);
  await cluster.submit(document("urgent", { replicas: 2 }));
  await running("urgent", 1);
  await waiting("urgent", 1);
  expect(await why("urgent[1]")).toContain("a disruption budget of default/guarded that lets 1 more be stopped");
  expect((await attempts("guarded")).filter((one) => one.reason === "preempted").length).toBe(1);
  expect((await living("guarded")).length).toBe(SLOTS - 1);
});

test("a scheduler that is killed while a victim stops keeps the room for whom it was made", async () => {
  // The victim takes its whole grace, so that the kill comes before its end.
  const slow = { command: ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"], timeouts: { stop: "8s" } };
  await cluster.submit(document("slow", { replicas: SLOTS, priority: "besteffort", ...slow }));
  await running("slow", SLOTS);
  await cluster.submit(document("sudden", {}));
  const preempted = () => attempts("slow").then((all) => all.filter((one) => one.reason === "preempted"));
  const [victim] = await eventually("a victim is chosen", async () => {
    const now = await preempted();
    return now.length > 0 && now;
  });
  for (const one of cluster.daemons().scheduler) kill(one.pid, "SIGKILL");
  if (victim === undefined) throw new Error("no victim");
  expect(inside(victim.id).length).toBeGreaterThan(0);
  const [urgent] = await running("sudden", 1);
  expect(urgent?.hostId).toBe(victim.hostId);
  expect((await attempts("sudden")).length).toBe(1);
  expect((await preempted()).map((one) => one.id)).toEqual([victim.id]);
  expect(inside(victim.id)).toEqual([]);
});

test("a gang starts as a whole or not at all, and again as a whole when a member is lost to it", async () => {
  await cluster.submit(document("filler", { replicas: SLOTS - 2 }));
  await cluster.submit(document("single", {}));
  await running("filler", SLOTS - 2);
  await running("single", 1);
  await cluster.submit(document("gang", { replicas: 2, gang: true }));
  await waiting("gang", 2);
  expect(await attempts("gang")).toEqual([]);
  expect(await why("gang[0]")).toMatch(/gang/);
  await cluster.must(["stop", "single"]);
  const first = await running("gang", 2);
  expect(new Set(first.map((one) => one.placedAtMs)).size).toBe(1);
  const [member] = first;
  for (const one of inside(member?.id ?? "")) kill(one.pid, "SIGKILL");
  const second = await eventually("both run as second attempts", async () => {
    const now = (await living("gang")).filter((one) => one.state === "running" && one.attempt === 2);
    return now.length === 2 && now;
  });
  expect(new Set(second.map((one) => one.placedAtMs)).size).toBe(1);
  expect((await attempts("gang")).filter((one) => one.reason === "gang_incomplete").length).toBe(1);
});

test("short work passes whoever waits for a whole host, and long work does not", async () => {
  const placement = { require: ['host.id == "host-1"'] };
  await cluster.submit(batch("ending", 12, { placement, array: { size: 3 }, timeouts: { run: "12s", stop: "1s" } }));
  await running("ending", 3);
  await cluster.submit(document("head", { placement }, PER_HOST));
  await waiting("head", 1);
  const later = { placement, priority: { band: "production", level: 40 } };
  await cluster.submit(batch("long", 1, { ...later, timeouts: { run: "10m", stop: "1s" } }));
  await waiting("long", 1);
  expect(await why("long[0]", "--not", "host-1")).toMatch(/head/);
  await cluster.submit(batch("short", 1, { ...later, timeouts: { run: "2s", stop: "1s" } }));
  await cluster.finished("short");
  expect(await attempts("long")).toEqual([]);
  await running("head", 1);
  const started = (await attempts("head"))[0]?.placedAtMs ?? 0;
  const ends = (await attempts("ending")).map((one) => one.exit?.finishedAtMs ?? Infinity);
  // Nothing held the head up but the work that was there before it.
  expect(started).toBeGreaterThanOrEqual(Math.max(...ends));
  await waiting("long", 1);
  await cluster.must(["stop", "head"]);
  await running("long", 1);
});

test("whoever of two projects holds less goes first, also when the other came before", async () => {
  const placement = { require: ['host.id == "host-2"'] };
  const many = (name: string, project: string) => batch(name, 2, { placement, project, array: { size: 12 } });
  await cluster.submit(many("early", "one"));
  await eventually("the first project fills the host", async () => (await living("early")).length === PER_HOST);
  await cluster.submit(many("late", "two"));
  const both = await eventually("all of both has had a place", async () => {
    const now = [...(await attempts("early")), ...(await attempts("late"))];
    return now.length === 24 && now;
  });
  const firstLate = Math.min(...both.filter((one) => one.job === "late").map((one) => one.placedAtMs));
  const since = both.filter((one) => one.placedAtMs >= firstLate).toSorted((a, b) => a.placedAtMs - b.placedAtMs);
  // As long as both wait, the one that came late gets no fewer places than the other.
  for (let count = 1; count <= 12; count += 1) {
    const late = since.slice(0, count).filter((one) => one.job === "late").length;
    expect(late).toBeGreaterThanOrEqual(Math.floor(count / 2) - 1);
  }
  expect(since.slice(0, 16).filter((one) => one.job === "early").length).toBeGreaterThan(2);
});
