/**
 * Three schedulers on one bus, as processes: killed, paused and cut off while users write through whichever answers. The
 * log is read afterwards, record by record: it is the one witness that cannot be mistaken.
 */
import { expect, test } from "vitest";
import type { AuditEntry, Transaction } from "@berth/schema";
import { openLog } from "./adapters/nats/log.ts";
import { startEnsemble, startProxy, type Ensemble, type Instance } from "./testing/processes.ts";
import { batch, clientOf } from "./testing/scheduler.ts";
import { eventually } from "./testing/temp.ts";

const leaderOf = (instances: readonly Instance[]): Promise<Instance> =>
  eventually(
    "somebody leads",
    async () => {
      for (const instance of instances) if (await instance.leads().catch(() => false)) return instance;
      return undefined;
    },
    30_000,
  );

/** Tries until it is taken, always with the same key, as a careful client does; at any instance that answers. */
const submit = (instances: readonly Instance[], name: string): Promise<boolean> =>
  eventually(
    `${name} is taken`,
    async () => {
      for (const instance of instances) {
        const answer = await instance
          .call("POST", "/v1/jobs", batch(name), { "idempotency-key": `key-of-${name}` })
          .catch(() => undefined);
        if (answer !== undefined && answer.status < 300) return true;
      }
      return false;
    },
    40_000,
  );

const readAll = async ({ nats }: Ensemble): Promise<(Transaction & { sequence: number })[]> => {
  const log = await openLog(nats.bus, { instance: "witness", replicas: 1, mustExist: true, appendTimeoutMs: 2_000 });
  const { lastSequence } = await log.end();
  const ending = new AbortController();
  const all: (Transaction & { sequence: number })[] = [];
  for await (const { sequence, transaction } of log.read(1, ending.signal)) {
    all.push({ ...transaction, sequence });
    if (sequence >= lastSequence) ending.abort();
  }
  return all;
};

/** Every record is of the leader of its time, and every submission is there once. */
const checkLog = (all: readonly (Transaction & { sequence: number })[], accepted: readonly string[]): void => {
  let epoch = 0;
  const submitted: string[] = [];
  for (const transaction of all) {
    const elected = transaction.records.some(({ kind }) => kind === "leader_elected");
    if (elected) epoch = transaction.sequence;
    else expect(transaction.epoch, `transaction ${transaction.sequence} by a deposed leader`).toBe(epoch);
    for (const record of transaction.records) if (record.kind === "job_submitted") submitted.push(record.spec.name);
  }
  expect(new Set(submitted).size, "submitted twice").toBe(submitted.length);
  expect(
    accepted.filter((name) => !submitted.includes(name)),
    "acknowledged, but not there",
  ).toEqual([]);
};

test("any instance takes writes and shows them at once", async () => {
  const ensemble = await startEnsemble();
  const one = await ensemble.start("one");
  const two = await ensemble.start("two");
  const leader = await leaderOf([one, two]);
  const follower = leader === one ? two : one;
  const first = await follower.call("POST", "/v1/jobs", batch("a"));
  expect([first.status, first.body.action]).toEqual([201, "create"]);
  // Read your writes, at the one that was asked.
  expect((await follower.call("GET", "/v1/jobs/default/a")).body.version).toBe(1);
  expect((await follower.call("POST", "/v1/jobs", batch("a"))).body.code).toBe("job.active");
  expect((await follower.call("POST", "/v1/jobs", { name: "b" })).status).toBe(422);
  expect((await follower.call("POST", "/v1/jobs/default/a/stop")).status).toBe(200);
  expect((await follower.call("POST", "/v1/jobs/default/nothing/stop")).body.code).toBe("job.not_found");
  // And what was done elsewhere.
  for (let at = 0; at < 20; at += 1) {
    expect((await leader.call("POST", "/v1/jobs", batch(`n-${at}`))).status).toBe(201);
    const seen = await follower.call("GET", `/v1/jobs/default/n-${at}`);
    expect([seen.status, seen.headers.get("berth-behind-ms")]).toEqual([200, null]);
  }
  const gone = (await leader.call("POST", "/v1/access", { name: "short", role: "viewer" })).body.token as string;
  const short = clientOf(follower.url, gone);
  expect((await short("GET", "/v1/jobs")).status).toBe(200);
  expect((await leader.call("POST", "/v1/access/short/revoke")).status).toBe(200);
  expect((await short("GET", "/v1/jobs")).status).toBe(401);
  const origins = (await readAll(ensemble)).map(({ origin }) => origin?.who ?? null);
  expect(origins).toContain("admin");

  // The leader's audit trail names who asked the follower, not the follower; a refusal there is noted here.
  const made = await follower.call("POST", "/v1/access", { name: "ci", role: "submitter" });
  const ci = clientOf(follower.url, made.body.token as string);
  expect((await ci("POST", "/v1/jobs", batch("of-ci"))).status).toBe(201);
  expect((await ci("POST", "/v1/hosts/h1/drain", {})).status).toBe(403);
  const entries = await eventually("both are in the trail", async () => {
    const { body } = await leader.call("GET", "/v1/audit?who=ci");
    return body.items.length === 2 ? (body.items as AuditEntry[]) : undefined;
  });
  const from = expect.stringContaining("127.0.0.1") as string;
  expect(entries).toMatchObject([
    { kind: "job_submitted", job: "of-ci", result: "done", origin: { who: "ci", via: "token", from } },
    { kind: "request_refused", host: "h1", result: "refused", code: "auth.forbidden", origin: { who: "ci", from } },
  ]);

  // A secret is encrypted where it comes in: between schedulers, too, nobody hears its value.
  const heard: string[] = [];
  ensemble.nats.bus.nats.subscribe(">", { callback: (_error, message) => void heard.push(message.string()) });
  await ensemble.nats.bus.nats.flush();
  const value = Buffer.from("nobody-hears-this").toString("base64");
  const set = await follower.call("POST", "/v1/projects/default/secrets/db", { value });
  expect(set.body).toMatchObject({ name: "db", version: 1 });
  expect((await leader.call("GET", "/v1/projects/default/secrets")).body.items).toMatchObject([{ name: "db" }]);
  expect(heard.some((text) => text.includes("setSecret"))).toBe(true);
  expect(heard.filter((text) => text.includes("nobody-hears-this") || text.includes(value))).toEqual([]);
});

test("kill -9 of the leader, three times: a follower leads, nothing acknowledged is lost, nothing is written twice", async ({
  annotate,
}) => {
  const ensemble = await startEnsemble();
  let instances = [await ensemble.start("one"), await ensemble.start("two"), await ensemble.start("three")];
  const accepted: string[] = [];
  const gapsMs: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const leader = await leaderOf(instances);
    for (let at = 0; at < 3; at += 1) {
      const name = `before-${round}-${at}`;
      await submit(instances, name);
      accepted.push(name);
    }
    leader.child.kill("SIGKILL");
    const fromMs = performance.now();
    const others = instances.filter((instance) => instance !== leader);
    await submit(others, `after-${round}`);
    gapsMs.push(Math.round(performance.now() - fromMs));
    accepted.push(`after-${round}`);
    instances = [...others, await ensemble.start(leader.name)];
  }
  const last = await leaderOf(instances);
  const { body } = await last.call("GET", "/v1/jobs?limit=1000");
  expect(body.items.map((job: { name: string }) => job.name).sort()).toEqual(accepted.toSorted());
  checkLog(await readAll(ensemble), accepted);
  await annotate(`from kill -9 of the leader to the next accepted write: ${gapsMs.join(", ")} ms`);
}, 180_000);

test("a leader that was paused, and one that was cut off, write nothing more; both follow and pass on afterwards", async () => {
  const ensemble = await startEnsemble();
  const proxy = await startProxy(ensemble.nats.server.localUrl);
  const one = await ensemble.start("one", proxy.url);
  const two = await ensemble.start("two");
  const first = await leaderOf([one]);
  expect(first).toBe(one);
  const accepted = ["a", "b", "c", "d"];
  await submit([one], "a");

  proxy.cut();
  await submit([two], "b");
  expect(await two.leads()).toBe(true);
  const refused = await one.call("POST", "/v1/jobs", batch("never"));
  expect(refused.status).toBe(503);
  // It still shows what it knows, and says that this may be old.
  const old = await one.call("GET", "/v1/jobs/default/a");
  expect(old.status).toBe(200);
  expect(Number(old.headers.get("berth-behind-ms"))).toBeGreaterThan(0);
  expect((await two.call("GET", "/v1/jobs/default/b")).headers.get("berth-behind-ms")).toBeNull();
  proxy.heal();
  await eventually("it follows", async () => (await one.call("GET", "/v1/jobs/default/b")).status === 200, 30_000);
  await submit([one], "c");
  expect(await one.leads()).toBe(false);

  two.child.kill("SIGSTOP");
  await eventually("the other leads", () => one.leads(), 30_000);
  await submit([one], "d");
  // It wakes up convinced that it leads.
  two.child.kill("SIGCONT");
  await two.call("POST", "/v1/jobs", batch("e"), { "idempotency-key": "key-of-e" });
  await eventually("it follows", async () => !(await two.leads()), 30_000);
  await submit([two], "e");
  const all = await readAll(ensemble);
  checkLog(all, [...accepted, "e"]);
  expect(all.filter(({ records }) => records.some(({ kind }) => kind === "leader_elected")).length).toBeGreaterThan(2);
}, 180_000);
