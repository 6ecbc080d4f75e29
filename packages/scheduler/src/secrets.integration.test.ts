/**
 * Secrets on their way: what is in the store, in documents and in every answer, and who can open what. The opening half is
 * written anew here, from the standards, so that it does not share a mistake with the sealing one.
 */
import { createDecipheriv, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { sealedAbout, SEALING, type DesiredDocument, type Sealed } from "@berth/schema";
import { startFakeAgent, type FakeAgent } from "./testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "./testing/scheduler.ts";
import { eventually } from "./testing/temp.ts";

const VALUE = "correct-horse-battery-staple";
const NEXT = "second-value-of-the-secret";
const base64 = (text: string): string => Buffer.from(text).toString("base64");

const makeKey = () => {
  const pair = generateKeyPairSync("x25519");
  const raw = Buffer.from(pair.publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  const open = (host: string, key: string, { from, box }: Sealed): string => {
    const theirs = Buffer.from(from, "base64");
    const jwk = { kty: "OKP", crv: "X25519", x: theirs.toString("base64url") };
    const publicKey = createPublicKey({ key: jwk, format: "jwk" });
    const shared = diffieHellman({ privateKey: pair.privateKey, publicKey });
    const boxKey = Buffer.from(hkdfSync("sha256", shared, Buffer.concat([theirs, raw]), SEALING, 32));
    const bytes = Buffer.from(box, "base64");
    const end = bytes.length - 16;
    const decipher = createDecipheriv("chacha20-poly1305", boxKey, Buffer.alloc(12), { authTagLength: 16 });
    decipher.setAAD(Buffer.from(sealedAbout(host, key)), { plaintextLength: end }).setAuthTag(bytes.subarray(end));
    return Buffer.concat([decipher.update(bytes.subarray(0, end)), decipher.final()]).toString();
  };
  return { sealingKey: raw.toString("base64"), open };
};
const keys = { h1: makeKey(), h2: makeKey() };

let scheduler: TestScheduler;
let h1: FakeAgent;
let h2: FakeAgent;
beforeAll(async () => {
  scheduler = await startScheduler({ snapshotLimits: { transactions: 3, everyMs: 1, logBytes: 1 } });
  const behave = () => ({ code: "forever" }) as const;
  h1 = await startFakeAgent(scheduler, { id: "h1", sealingKey: keys.h1.sealingKey, behave });
  h2 = await startFakeAgent(scheduler, { id: "h2", sealingKey: keys.h2.sealingKey, behave });
});

const set = (name: string, value: string, project = "default") =>
  scheduler.call("POST", `/v1/projects/${project}/secrets/${name}`, { value });
const serviceOn = (host: string, more: object = {}) => ({
  ...batch("user"),
  kind: "service",
  placement: { require: [`host.id == "${host}"`] },
  secrets: [{ secret: "db" }],
  ...more,
});
const boxes = ({ document }: FakeAgent): NonNullable<DesiredDocument["secrets"]> => document()?.secrets ?? {};

/** Every byte that the scheduler and its nats-server have on disk, what is compressed included. */
const onDisk = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return [];
    const bytes = readFileSync(join(entry.parentPath, entry.name));
    return [
      bytes.toString("latin1"),
      ...(bytes[0] === 0x1f && bytes[1] === 0x8b ? [gunzipSync(bytes).toString()] : []),
    ];
  });

test("a job that refers to what is not there is not taken, nor planned, and the answer says what to do", async () => {
  for (const path of ["/v1/jobs", "/v1/jobs?dryRun=true"]) {
    const answer = await scheduler.call("POST", path, serviceOn("h1"));
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({
      code: "secret.not_found",
      detail: expect.stringContaining("berth secret set db"),
    });
  }
});

test("only the host of the task can open it, and only as what it is", async () => {
  expect((await set("db", base64(VALUE))).body).toMatchObject({ name: "db", version: 1, setBy: "admin", usedBy: [] });
  expect((await set("other", base64("never sent"))).status).toBe(200);
  expect((await scheduler.call("POST", "/v1/jobs", serviceOn("h1"))).status).toBe(201);
  const box = await eventually("the document has it", () => boxes(h1)["default/db"]);
  expect(Object.keys(boxes(h1))).toEqual(["default/db"]);
  expect(boxes(h2)).toEqual({});
  expect(keys.h1.open("h1", "default/db", box)).toBe(VALUE);
  // A compromised agent that got hold of another host's document, or of its own box under another name.
  expect(() => keys.h2.open("h1", "default/db", box)).toThrow();
  expect(() => keys.h2.open("h2", "default/db", box)).toThrow();
  expect(() => keys.h1.open("h1", "default/other", box)).toThrow();
  expect(() => keys.h1.open("h2", "default/db", box)).toThrow();
});

test("another value reaches its hosts, the same one changes nothing, and in use it stays", async () => {
  const before = h1.document()?.rev ?? 0;
  expect((await set("db", base64(VALUE))).body).toMatchObject({ version: 1, usedBy: ["user"] });
  expect((await set("db", base64(NEXT))).body).toMatchObject({ version: 2 });
  await eventually("the new value", () => {
    const box = boxes(h1)["default/db"];
    return box !== undefined && keys.h1.open("h1", "default/db", box) === NEXT;
  });
  expect(h1.document()?.rev).toBeGreaterThan(before);
  const refused = await scheduler.call("POST", "/v1/projects/default/secrets/db/remove", {});
  expect(refused.body).toMatchObject({ code: "secret.in_use", detail: expect.stringContaining("default/user") });
});

test.each([
  ["not base64", "s3cret?!", "is not base64"],
  ["empty", "", "is empty"],
  ["too large", base64("x".repeat(16_385)), "has 16385 bytes"],
])("a value that is %s is refused, without being shown", async (_what, value, sentence) => {
  const answer = await set("bad", value);
  expect(answer.status).toBe(400);
  expect(answer.body.detail).toContain(sentence);
  if (value !== "") expect(answer.text).not.toContain(value.slice(0, 64));
});

test("no value is in the log, in a snapshot or in any other file, nor in any answer", async () => {
  await scheduler.call("POST", "/v1/projects/default/secrets/db", { value: 17 });
  await scheduler.call("POST", "/v1/jobs", serviceOn("h1", { name: "again", secrets: [{ secret: "db", env: "DB" }] }));
  const allocation = await eventually("it runs", () => h1.started.at(-1));
  const answers = [
    ...["/v1/audit", "/v1/events?follow=false&tail=1000", "/v1/projects/default/secrets", "/v1/jobs", "/metrics"],
    ...["/v1/jobs/default/user/tasks/0/why", `/v1/allocations/${allocation}`, "/v1/projects"],
  ];
  const texts = await Promise.all(answers.map(async (path) => (await scheduler.call("GET", path)).text));
  expect(texts[0]).toContain("the secret db is set");
  // Both are really looked into.
  const files = await eventually(
    "log and snapshot hold it",
    () => {
      const found = onDisk(scheduler.dataDir);
      return ["secret_set", "project_secrets"].every((kind) => found.some((text) => text.includes(kind)))
        ? found
        : undefined;
    },
    60_000,
  );
  for (const text of [...texts, ...files])
    for (const value of [VALUE, NEXT]) {
      expect(text).not.toContain(value);
      expect(text).not.toContain(base64(value).slice(0, 24));
    }
});

test("a scheduler that starts again has them, and one that is removed is gone from documents", async () => {
  const sequence = h1.document()?.rev ?? 0;
  await scheduler.running.close();
  scheduler = await startScheduler({ dataDir: scheduler.dataDir });
  const list = await scheduler.call("GET", "/v1/projects/default/secrets");
  expect(list.body.items).toMatchObject([
    { name: "db", version: 2, usedBy: ["again", "user"] },
    { name: "other", version: 1, usedBy: [] },
  ]);
  expect(sequence).toBeGreaterThan(0);
  expect((await scheduler.call("POST", "/v1/projects/default/secrets/other/remove", {})).status).toBe(200);
  const gone = await scheduler.call("POST", "/v1/projects/default/secrets/other/remove", {});
  expect(gone.body.code).toBe("secret.not_found");
});
