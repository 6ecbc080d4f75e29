/** The log on the real server: compare-and-append, replay, what happens when the server is killed, what must stop a start. */
import { crc32 } from "node:zlib";
import { headers } from "nats";
import { expect, test } from "vitest";
import { MAX_TRANSACTION_BYTES, type HostId, type Transaction } from "@berth/schema";
import type { Log } from "../../ports/log.ts";
import { startNats, type TestNats } from "../../testing/nats.ts";
import { eventually } from "../../testing/temp.ts";
import { openLog } from "./log.ts";

const open = ({ bus }: TestNats, more: { instance?: string; mustExist?: boolean } = {}): Promise<Log> =>
  openLog(bus, {
    instance: more.instance ?? "one",
    replicas: 1,
    mustExist: more.mustExist ?? false,
    appendTimeoutMs: 2_000,
  });

const transaction = (name: string, by = "test"): Transaction => ({
  version: 2,
  origin: null,
  epoch: 1,
  atMs: 1,
  cause: "test",
  records: [{ kind: "host_enrolled", hostId: name as HostId, publicKey: `U${"A".repeat(55)}`, by }],
});

const read = async (log: Log, from: number, count: number): Promise<string[]> => {
  const names: string[] = [];
  const ending = new AbortController();
  for await (const { sequence, transaction: entry } of log.read(from, ending.signal)) {
    const record = entry.records[0];
    names.push(`${sequence}:${record?.kind === "host_enrolled" ? record.hostId : record?.kind}`);
    if (names.length === count) ending.abort();
  }
  return names;
};

test("appends follow the expected sequence, a stale writer is refused, readers see all of it in order", async () => {
  const nats = await startNats();
  const log = await open(nats);
  expect(await log.end()).toMatchObject({ lastSequence: 0 });
  expect(await log.append(transaction("a"), 0)).toEqual({ kind: "appended", sequence: 1 });
  expect(await log.append(transaction("b"), 1)).toEqual({ kind: "appended", sequence: 2 });
  expect(await log.append(transaction("c"), 1)).toEqual({ kind: "refused" });
  expect(await log.append(transaction("c"), 0)).toEqual({ kind: "refused" });
  expect(await log.append(transaction("c"), 5)).toEqual({ kind: "refused" });

  // A second writer on the same log: of two that expect the same end, one wins.
  const other = await open(nats, { instance: "two", mustExist: true });
  const outcomes = await Promise.all([log.append(transaction("x"), 2), other.append(transaction("y"), 2)]);
  expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual(["appended", "refused"]);

  const names = await read(log, 1, 3);
  expect(names.slice(0, 2)).toEqual(["1:a", "2:b"]);
  expect(await read(other, 2, 2)).toEqual(names.slice(1));
});

test("a reader that is at the end gets what comes later", async () => {
  const nats = await startNats();
  const log = await open(nats);
  const tail = read(log, 1, 20);
  for (let at = 0; at < 20; at += 1) await log.append(transaction(`h${at}`), at);
  expect(await tail).toEqual(Array.from({ length: 20 }, (_, at) => `${at + 1}:h${at}`));
});

test("a transaction that is too large is rejected and nothing is stored", async () => {
  const log = await open(await startNats());
  const outcome = await log.append(transaction("a", "x".repeat(MAX_TRANSACTION_BYTES)), 0);
  expect(outcome.kind).toBe("rejected");
  expect(await log.append(transaction("a"), 0)).toEqual({ kind: "appended", sequence: 1 });
});

test("kill -9 of the server under appends: what was acknowledged is there, in order; what was not is uncertain, never refused", async () => {
  const nats = await startNats();
  const log = await open(nats);
  const acknowledged: number[] = [];
  const outcomes = new Set<string>();
  let at = 0;
  const killed = nats.server.pid();
  const writing = (async () => {
    while (at < 400) {
      const outcome = await log.append(transaction(`h${at}`), at);
      outcomes.add(outcome.kind);
      if (outcome.kind !== "appended") break;
      acknowledged.push(outcome.sequence);
      at += 1;
      if (at === 100) process.kill(killed, "SIGKILL");
    }
  })();
  await writing;
  expect([...outcomes]).toEqual(["appended", "uncertain"]);
  await eventually(
    "the server is back",
    async () => nats.bus.isUp() && (await log.end()).lastSequence >= acknowledged.length,
  );
  expect(nats.server.pid()).not.toBe(killed);
  const { lastSequence } = await log.end();
  // The uncertain one may be there or not; nothing else may be.
  expect(lastSequence - acknowledged.length).toBeLessThanOrEqual(1);
  const names = await read(log, 1, lastSequence);
  expect(names).toEqual(Array.from({ length: lastSequence }, (_, index) => `${index + 1}:h${index}`));
  expect(await log.append(transaction("after"), lastSequence)).toMatchObject({ kind: "appended" });
});

test("a reader whose server dies is told so instead of waiting for ever", async () => {
  const nats = await startNats();
  const log = await open(nats);
  await log.append(transaction("a"), 0);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const { sequence } of log.read(1, new AbortController().signal)) seen.push(sequence);
  })();
  reading.catch(() => {});
  await eventually("it reads", () => seen.length === 1);
  process.kill(nats.server.pid(), "SIGKILL");
  await expect(reading).rejects.toThrow("interrupted");
});

test("a record that is damaged or cannot be decoded stops the reading with its sequence", async () => {
  const nats = await startNats();
  const log = await open(nats);
  await log.append(transaction("a"), 0);
  const summed = (bytes: Buffer): string => crc32(bytes).toString(16).padStart(8, "0");
  const good = Buffer.from(JSON.stringify(transaction("b")));
  for (const [bytes, checksum, what] of [
    [good, "", "is damaged"],
    [good, summed(Buffer.from("another")), "is damaged"],
    [Buffer.from("{"), undefined, "not JSON"],
    [Buffer.from(JSON.stringify({ ...transaction("b"), epoch: "x" })), undefined, "expected form: /epoch"],
    [Buffer.from([0xff, 0xfe]), undefined, "not UTF-8"],
    [Buffer.from('{"version":9}'), undefined, "a newer version of Berth has written it"],
  ] as const) {
    const said = headers();
    if (checksum !== "") said.set("Berth-Crc32", checksum ?? summed(bytes));
    const { seq } = await nats.bus.nats.jetstream().publish("log", bytes, { headers: said });
    await expect(read(log, seq, 1)).rejects.toThrow(`transaction ${seq} of the log`);
    await expect(read(log, seq, 1)).rejects.toThrow(what);
  }
});

test("a transaction of the first version, which had no checksum and no origin, is upgraded when it is read", async () => {
  const nats = await startNats();
  const log = await open(nats);
  const { origin, version, ...rest } = transaction("old");
  expect([origin, version]).toEqual([null, 2]);
  await nats.bus.nats.jetstream().publish("log", JSON.stringify({ version: 1, ...rest }));
  const ending = new AbortController();
  for await (const entry of log.read(1, ending.signal)) {
    expect(entry).toEqual({ sequence: 1, transaction: transaction("old") });
    ending.abort();
  }
});

test("a log that was there and is not any more is not made anew; one configured in another way is refused", async () => {
  const nats = await startNats();
  await expect(open(nats, { mustExist: true })).rejects.toThrow("the log that was here has vanished");
  const manager = await nats.bus.nats.jetstreamManager();
  await manager.streams.add({ name: "LOG", subjects: ["log"], max_age: 60_000_000_000 });
  await expect(open(nats)).rejects.toThrow(/configured in another way \(.*max_age.*deny_delete.*\)/);
});

test("a full store refuses appends, and takes them again when there is room", async () => {
  const nats = await startNats({ maxStoreBytes: 2 ** 20 });
  const log = await open(nats);
  const manager = await nats.bus.nats.jetstreamManager();
  await manager.streams.add({ name: "FILL", subjects: ["fill"] });
  const fill = nats.bus.nats.jetstream();
  await eventually("the store is full", async () => {
    await fill.publish("fill", new Uint8Array(64 * 1024)).then(
      () => undefined,
      () => true,
    );
    const outcome = await log.append(transaction("a", "x".repeat(10_000)), (await log.end()).lastSequence);
    return outcome.kind === "rejected";
  });
  const { lastSequence } = await log.end();
  expect((await log.append(transaction("b", "x".repeat(10_000)), lastSequence)).kind).toBe("rejected");
  await manager.streams.delete("FILL");
  await eventually("there is room", async () => (await log.append(transaction("c"), lastSequence)).kind === "appended");
});
