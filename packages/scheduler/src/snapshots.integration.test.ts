/** Snapshots of the real log on the real server: what is kept, what a start makes of it, and a cluster from a backup. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JetStreamManager } from "nats";
import { expect, test } from "vitest";
import { connectBus, type BusConnection } from "./adapters/nats/connection.ts";
import { prepareRestore, StartupProblem } from "./index.ts";
import { startFakeAgent } from "./testing/fake-agent.ts";
import { silent } from "./testing/nats.ts";
import { batch, startScheduler, type TestScheduler } from "./testing/scheduler.ts";
import { afterTests, eventually, tempDir } from "./testing/temp.ts";

const often = { transactions: 10, everyMs: 1e9, logBytes: 1e12 };

/** A server that is just taking over its users may refuse for a moment. */
const busOf = async ({ dataDir, running }: TestScheduler): Promise<BusConnection> => {
  const seed = readFileSync(join(dataDir, "scheduler/control.nk"), "utf8").trim();
  const bus = await eventually("the connection", () => connectBus(running.natsUrls, seed, silent));
  afterTests(bus.close);
  return bus;
};

const managerOf = async (scheduler: TestScheduler): Promise<JetStreamManager> =>
  (await busOf(scheduler)).nats.jetstreamManager();

const manifestsOf = async (manager: JetStreamManager): Promise<string[]> =>
  Object.keys((await manager.streams.info("SNAP", { subjects_filter: "snap.*.manifest" })).state.subjects ?? {}).sort();

const filesOf = (dataDir: string): string[] => {
  const directory = join(dataDir, "scheduler/snapshots");
  return existsSync(directory) ? readdirSync(directory) : [];
};

const jobsOf = async (scheduler: TestScheduler): Promise<unknown> =>
  (await scheduler.call("GET", "/v1/jobs?limit=1000")).body.items;

const refusal = async (dataDir: string): Promise<string> => {
  const error: unknown = await startScheduler({ dataDir }).then(
    () => new Error("it started"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartupProblem);
  return (error as Error).message;
};

/** A cluster whose log begins behind a few snapshots, stopped. */
const stoppedCluster = async (): Promise<{ dataDir: string; jobs: unknown }> => {
  const one = await startScheduler({ snapshotLimits: often });
  const agent = await startFakeAgent(one, { id: "h1" });
  const manager = await managerOf(one);
  for (let round = 0; (await manager.streams.info("LOG")).state.first_seq === 1; round += 1) {
    await one.call("POST", "/v1/jobs", batch(`job-${round}`, { array: { size: 2 } }));
    await eventually("it has run", () => agent.started.length >= 2 * round + 2);
  }
  await eventually("all have ended", async () =>
    ((await jobsOf(one)) as { state: string }[]).every((job) => job.state === "succeeded"),
  );
  const jobs = await jobsOf(one);
  await agent.close();
  await one.running.close();
  return { dataDir: one.dataDir, jobs };
};

test("the log is cut behind the oldest of three snapshots, and a start goes on from the newest", async () => {
  const { dataDir, jobs } = await stoppedCluster();
  const two = await startScheduler({ dataDir });
  expect(await jobsOf(two)).toEqual(jobs);
  const manager = await managerOf(two);
  const manifests = await manifestsOf(manager);
  expect(manifests).toHaveLength(3);
  expect(filesOf(dataDir)).toHaveLength(3);
  const oldest = Number(manifests[0]?.split(".")[1]?.split("-")[0]);
  const { state } = await manager.streams.info("LOG");
  expect(state.first_seq).toBe(oldest + 1);
  expect((await two.call("POST", "/v1/jobs", batch("after"))).status).toBe(201);
});

test("a damaged snapshot is passed over; when none is left, neither stored nor as a file, the start is refused", async () => {
  const { dataDir, jobs } = await stoppedCluster();
  const two = await startScheduler({ dataDir });
  const manager = await managerOf(two);
  const [, , newest = ""] = await manifestsOf(manager);
  await manager.streams.purge("SNAP", { filter: newest.replace("manifest", "0") });
  await two.running.close();
  const three = await startScheduler({ dataDir });
  expect(await jobsOf(three)).toEqual(jobs);

  // Nothing but plain files, the newest of them cut short.
  await (await managerOf(three)).streams.purge("SNAP");
  await three.running.close();
  const directory = join(dataDir, "scheduler/snapshots");
  const newestFile = join(directory, readdirSync(directory).sort().at(-1) ?? "");
  writeFileSync(newestFile, readFileSync(newestFile).subarray(0, -10));
  const four = await startScheduler({ dataDir });
  expect(await jobsOf(four)).toEqual(jobs);
  await four.running.close();

  rmSync(directory, { recursive: true });
  expect(await refusal(dataDir)).toMatch(/^the log begins at \d+, and no snapshot covers .*berth restore FILE/);
});

test("what a killed writer left of a snapshot is not one, and is removed with the next", async () => {
  const one = await startScheduler({ snapshotLimits: often });
  const manager = await managerOf(one);
  const bus = await busOf(one);
  await bus.nats.jetstream().publish("snap.0000000000000001-00000000.0", "left over");
  for (let round = 0; (await manager.streams.info("LOG")).state.first_seq === 1; round += 1) {
    await one.call("POST", "/v1/jobs", batch(`job-${round}`));
    await one.call("POST", `/v1/jobs/default/job-${round}/stop`);
  }
  await eventually("it is gone", async () => {
    const { state } = await manager.streams.info("SNAP", { subjects_filter: "snap.0000000000000001-00000000.>" });
    return Object.keys(state.subjects ?? {}).length === 0;
  });
});

test("a cluster from a backup, in another directory: jobs, hosts, token and key are the same, its epoch is newer", async () => {
  const one = await startScheduler();
  const agent = await startFakeAgent(one, { id: "h1", behave: () => ({ code: "forever" }) });
  await one.call("POST", "/v1/jobs", batch("web", { kind: "service" }));
  await eventually("it runs", async () => (await one.call("GET", "/v1/jobs/default/web")).body.tasks.running === 1);
  const answer = await fetch(`${one.url}/v1/backup`, { headers: { authorization: `Bearer ${one.token}` } });
  expect(answer.headers.get("content-disposition")).toMatch(/filename="test-\d+\.backup"/);
  const backup = Buffer.from(await answer.arrayBuffer());
  const before = (await one.call("GET", "/v1/allocations")).body.items[0];
  await one.call("POST", "/v1/jobs", batch("lost-later"));
  await agent.close();
  await one.running.close();

  const file = join(tempDir(), "berth.backup");
  const elsewhere = tempDir();
  for (const [bytes, what] of [
    [Buffer.from("nothing"), /is not a snapshot/],
    [backup.subarray(0, -2), /cut short/],
    [backup.subarray(0, backup.length >> 1), /cut short/],
    [Buffer.concat([backup.subarray(0, 300), Buffer.from("0"), backup.subarray(301)]), /damaged|not a snapshot/],
  ] as const) {
    writeFileSync(file, bytes);
    await expect(prepareRestore(file, elsewhere)).rejects.toThrow(what);
  }
  writeFileSync(file, backup);
  expect(await prepareRestore(file, elsewhere)).toMatchObject({
    cluster: "test",
    hosts: 1,
    jobs: 1,
    replaces: undefined,
  });
  const two = await startScheduler({ dataDir: elsewhere });
  expect(two.token).toBe(one.token);
  expect((await jobsOf(two)) as { name: string }[]).toMatchObject([{ name: "web" }]);
  expect((await two.call("GET", "/v1/allocations")).body.items[0]).toMatchObject({ id: before.id, hostId: "h1" });
  const key = (dir: string): string => readFileSync(join(dir, "scheduler/cluster.key"), "utf8");
  expect(key(elsewhere)).toBe(key(one.dataDir));
  await two.call("POST", "/v1/jobs", batch("new"));
  const placed = await eventually(
    "it is placed",
    async () => (await two.call("GET", "/v1/allocations?job=new")).body.items[0],
  );
  expect(placed.epoch).toBeGreaterThan(1e12);
  const manager = await managerOf(two);
  expect((await manager.streams.info("LOG")).state.first_seq).toBeGreaterThan(1e12);
  expect(existsSync(join(elsewhere, "scheduler/restore.snapshot"))).toBe(false);

  // Over a cluster that is there: that one is moved aside, and the new log begins behind it.
  await two.running.close();
  expect((await prepareRestore(file, elsewhere)).replaces).toBe(join(elsewhere, "scheduler"));
  const three = await startScheduler({ dataDir: elsewhere });
  expect((await jobsOf(three)) as { name: string }[]).toMatchObject([{ name: "web" }]);
  expect(readdirSync(join(elsewhere, "scheduler")).some((name) => name.startsWith("replaced-"))).toBe(true);
  await expect(prepareRestore(file, elsewhere)).rejects.toThrow("another scheduler is using");
  await three.running.close();
  const four = await startScheduler({ dataDir: elsewhere });
  expect((await jobsOf(four)) as { name: string }[]).toMatchObject([{ name: "web" }]);
});
