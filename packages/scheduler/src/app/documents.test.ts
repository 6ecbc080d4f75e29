import { generateKeyPairSync } from "node:crypto";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import type { DesiredDocument, HostId, Signed, Transaction } from "@berth/schema";
import { createState, fold } from "../core/index.ts";
import { DocumentTooLarge } from "../ports/bus.ts";
import { eventually } from "../testing/temp.ts";
import { createVault } from "../adapters/files/vault.ts";
import { systemClock } from "./clock.ts";
import { createDocuments } from "./documents.ts";

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

const make = () => {
  const state = createState();
  const stored = new Map<HostId, Signed>();
  const puts: HostId[] = [];
  let mayWrite = true;
  let [redials, laterMs] = [0, 0];
  const clock = systemClock();
  let fate: (host: HostId) => Error | undefined = () => undefined;
  const documents = createDocuments({
    vault: createVault(generateKeyPairSync("ed25519").privateKey),
    state,
    store: {
      put: async (host, document) => {
        puts.push(host);
        const error = fate(host);
        if (error !== undefined) throw error;
        stored.set(host, document);
      },
      get: async (host) => stored.get(host),
      line: { isUp: () => true, onChange: () => () => {} },
      redial: () => (redials += 1),
    },
    signer: { publicKey: "", sign: (value) => ({ payload: JSON.stringify(value), signature: "" }) },
    clock: { ...clock, monotonicMs: () => clock.monotonicMs() + laterMs },
    logger: pino({ level: "silent" }),
    mayWrite: () => mayWrite,
    failed: () => {},
  });
  const ending = new AbortController();
  const running = documents.run(ending.signal);
  ends.push(() => ending.abort());
  const append = (records: Transaction["records"]): void => {
    const { documents: touched } = fold(state, state.revision + 1, {
      version: 2,
      origin: null,
      epoch: state.epoch,
      atMs: 1,
      cause: "test",
      records,
    });
    documents.changed(touched);
  };
  const enrol = (id: string): void =>
    append([{ kind: "host_enrolled", hostId: id as HostId, publicKey: `U${"A".repeat(55)}`, by: "test" }]);
  return {
    state,
    documents,
    stored,
    puts,
    append,
    enrol,
    running,
    redials: () => redials,
    wait: (ms: number) => (laterMs += ms),
    pause: (paused: boolean) => (mayWrite = !paused),
    fail: (next: typeof fate) => (fate = next),
    documentOf: (id: string) => {
      const signed = stored.get(id as HostId);
      return signed === undefined ? undefined : (JSON.parse(signed.payload) as DesiredDocument);
    },
  };
};

test("what changes is written, with the revision that changed it", async () => {
  const { enrol, documentOf } = make();
  enrol("a");
  enrol("b");
  await eventually("both are written", () => documentOf("a") !== undefined && documentOf("b") !== undefined);
  expect([documentOf("a")?.rev, documentOf("b")?.rev]).toEqual([1, 2]);
});

test("a put that fails is repeated until it works", async () => {
  const { enrol, documentOf, fail, puts } = make();
  let failures = 2;
  fail(() => (failures-- > 0 ? new Error("no answer") : undefined));
  enrol("a");
  await eventually("written", () => documentOf("a") !== undefined);
  expect(puts).toEqual(["a", "a", "a"]);
});

test("a server that stores none for a while is left for another, and told of until one stores them", async () => {
  const { enrol, documents, fail, puts, redials, wait } = make();
  fail(() => new Error("no answer"));
  enrol("a");
  await eventually("tried", () => puts.length > 0);
  expect([redials(), documents.isFailing()]).toEqual([0, false]);
  wait(11_000);
  await eventually("another is tried", () => redials() === 1);
  expect(documents.isFailing()).toBe(true);
  wait(31_000);
  await eventually("and another", () => redials() === 2);
  fail(() => undefined);
  await eventually("written", () => documents.pending() === 0 && !documents.isFailing());
});

test("nothing is written by an instance that does not lead; when it does, what was left is", async () => {
  const { enrol, documentOf, pause, documents, puts } = make();
  pause(true);
  enrol("a");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(puts).toEqual([]);
  pause(false);
  documents.changed([]);
  await eventually("written", () => documentOf("a") !== undefined);
});

test("reconciling writes what is missing, behind or unreadable, and leaves the rest", async () => {
  const { enrol, documents, stored, puts, append } = make();
  for (const id of ["ok", "missing", "behind", "garbled"]) enrol(id);
  await eventually("all are written", () => stored.size === 4 && documents.pending() === 0);
  stored.delete("missing" as HostId);
  const behind = JSON.parse(stored.get("behind" as HostId)?.payload ?? "{}") as DesiredDocument;
  stored.set("behind" as HostId, { payload: JSON.stringify({ ...behind, rev: 0 }), signature: "" });
  stored.set("garbled" as HostId, { payload: "{", signature: "" });
  puts.length = 0;
  append([{ kind: "leader_elected", instance: "next" }]);
  await documents.reconcile();
  await eventually("the three are written", () => documents.pending() === 0 && puts.length === 3);
  expect(puts.toSorted((left, right) => left.localeCompare(right))).toEqual(["behind", "garbled", "missing"]);
});

test("a document that is too large is said to be, and not tried again until it changes", async () => {
  const { enrol, documents, fail, puts, documentOf } = make();
  fail((host) => (host === "big" ? new DocumentTooLarge("2 MiB") : undefined));
  enrol("big");
  enrol("small");
  await eventually("the small one is written", () => documentOf("small") !== undefined);
  expect(documents.tooLarge()).toEqual(["big"]);
  expect(documents.pending()).toBe(0);
  expect(puts).toEqual(["big", "small"]);
  fail(() => undefined);
  documents.changed(["big" as HostId]);
  await eventually("it fits now", () => documentOf("big") !== undefined);
  expect(documents.tooLarge()).toEqual([]);
});
