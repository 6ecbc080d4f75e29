import { describe, expect, test } from "vitest";
import { LOG_VERSION, type Event, type HostId, type LogRecord, type Transaction } from "@berth/schema";
import { createState, fold } from "../core/index.ts";
import { manualClock } from "../testing/manual-clock.ts";
import { memoryLog } from "../testing/memory-log.ts";
import { createEventFeed, EVENT_LIMITS, type EventRequest } from "./event-feed.ts";

const enrolled = (id: string): LogRecord => ({
  kind: "host_enrolled",
  hostId: id as HostId,
  publicKey: `U${"A".repeat(55)}`,
  by: "admin",
});

const setUp = (limits: Partial<typeof EVENT_LIMITS> = {}) => {
  const state = createState();
  const log = memoryLog();
  const clock = manualClock();
  let firstSequence = 1;
  const feed = createEventFeed({
    state,
    log: { read: log.read, end: async () => ({ ...(await log.end()), firstSequence }) },
    clock,
    limits: { ...EVENT_LIMITS, ...limits },
  });
  const append = async (...records: LogRecord[]): Promise<void> => {
    const transaction: Transaction = {
      version: LOG_VERSION,
      epoch: state.epoch,
      atMs: 7,
      cause: "test",
      origin: null,
      records: [...records],
    };
    await log.append(transaction, state.revision);
    fold(state, state.revision + 1, transaction);
    feed.folded(state.revision, transaction);
  };
  const gone = new AbortController();
  const open = (request: Partial<EventRequest>) =>
    feed.open({ since: undefined, tail: undefined, follow: false, wants: () => true, signal: gone.signal, ...request });
  const read = async (request: Partial<EventRequest>): Promise<Event[]> => {
    const opened = await open(request);
    if (!opened.ok) throw new Error(opened.error.detail);
    const found: Event[] = [];
    for await (const { events } of opened.value) found.push(...events);
    return found;
  };
  return { feed, append, open, read, gone, clock, cutTo: (sequence: number) => (firstSequence = sequence) };
};

const names = (events: readonly Event[]): string[] =>
  events.map(({ sequence, part, host }) => `${sequence}.${part} ${host ?? "-"}`);

describe("what there is", () => {
  test("comes in the log's order, whether it is in memory or only in the log", async () => {
    const { feed, append, read } = setUp({ piece: 2 });
    await append({ kind: "leader_elected", instance: "a" });
    for (const id of ["h1", "h2", "h3"]) await append(enrolled(id));
    feed.start();
    await append(enrolled("h4"), enrolled("h5"));
    await append(enrolled("h6"));
    expect(names(await read({ since: 0 }))).toEqual([
      "1.0 -",
      "2.0 h1",
      "3.0 h2",
      "4.0 h3",
      "5.0 h4",
      "5.1 h5",
      "6.0 h6",
    ]);
    expect(names(await read({ since: 4 }))).toEqual(["5.0 h4", "5.1 h5", "6.0 h6"]);
    expect(await read({ since: 6 })).toEqual([]);
    expect(await read({})).toEqual([]);
    expect(names(await read({ since: 0, wants: ({ host }) => host === "h2" }))).toEqual(["3.0 h2"]);
  });

  test("tail: whole transactions with at least so many wanted events, from the log when memory has too few", async () => {
    const { feed, append, read } = setUp();
    await append({ kind: "leader_elected", instance: "a" });
    await append(enrolled("h1"));
    feed.start();
    await append(enrolled("h2"), enrolled("h3"));
    await append(enrolled("h4"));
    expect(names(await read({ tail: 1 }))).toEqual(["4.0 h4"]);
    expect(names(await read({ tail: 2 }))).toEqual(["3.0 h2", "3.1 h3", "4.0 h4"]);
    expect(names(await read({ tail: 4 }))).toEqual(["2.0 h1", "3.0 h2", "3.1 h3", "4.0 h4"]);
    expect(names(await read({ tail: 100 }))).toHaveLength(5);
    expect(names(await read({ tail: 1, wants: ({ host }) => host === "h2" }))).toEqual(["3.0 h2"]);
  });

  test("memory is bounded; what falls out of it is read from the log", async () => {
    const { feed, append, read } = setUp({ keptEvents: 3 });
    feed.start();
    await append({ kind: "leader_elected", instance: "a" });
    for (let at = 0; at < 20; at += 1) await append(enrolled(`h${at}`));
    expect(await read({ since: 0 })).toHaveLength(21);
  });

  test("what was cut off is refused with the oldest there is, what is not yet there too", async () => {
    const { append, open, read, cutTo } = setUp();
    await append({ kind: "leader_elected", instance: "a" });
    for (const id of ["h1", "h2", "h3"]) await append(enrolled(id));
    cutTo(3);
    expect(await open({ since: 1 })).toMatchObject({
      ok: false,
      error: { code: "events.gone", status: 410, oldestSequence: 3 },
    });
    expect(names(await read({ since: 2 }))).toEqual(["3.0 h2", "4.0 h3"]);
    expect(names(await read({ tail: 100 }))).toEqual(["3.0 h2", "4.0 h3"]);
    expect(await open({ since: 5 })).toMatchObject({ ok: false, error: { code: "request.invalid" } });
  });
});

describe("a follower", () => {
  test("gets what comes, and signs of life while nothing does", async () => {
    const { feed, append, open, clock } = setUp();
    feed.start();
    await append({ kind: "leader_elected", instance: "a" });
    const opened = await open({ follow: true });
    if (!opened.ok) throw new Error(opened.error.detail);
    const blocks = opened.value[Symbol.asyncIterator]();
    expect((await blocks.next()).value).toEqual({ sequence: 1, events: [] });
    const next = blocks.next();
    await append(enrolled("h1"));
    expect((await next).value).toMatchObject({ sequence: 2, events: [{ host: "h1", message: "is admitted" }] });
    const quiet = blocks.next();
    clock.advance(EVENT_LIMITS.quietMs);
    expect((await quiet).value).toEqual({ sequence: 2, events: [] });
    const last = blocks.next();
    feed.close();
    expect((await last).done).toBe(true);
  });

  test("gives its place back when it goes, and there are only so many", async () => {
    const { feed, append, open, gone } = setUp({ readers: 1 });
    feed.start();
    await append({ kind: "leader_elected", instance: "a" });
    expect((await open({ follow: true })).ok).toBe(true);
    const other = { signal: new AbortController().signal };
    expect(await open(other)).toMatchObject({ ok: false, error: { code: "request.too_many" } });
    gone.abort();
    expect((await open(other)).ok).toBe(true);
  });
});
