/** The loop on a log in memory: what happens when appends are refused, uncertain, or not taken. */
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { err, ok, problem, type HostId, type LogRecord } from "@berth/schema";
import type { Announcement } from "../ports/bus.ts";
import type { AppendOutcome, LogEnd } from "../ports/log.ts";
import { StartupProblem } from "../ports/startup-problem.ts";
import { memoryLog, type MemoryLog } from "../testing/memory-log.ts";
import { eventually } from "../testing/temp.ts";
import { systemClock } from "./clock.ts";
import type { Command } from "./command-queue.ts";
import { createEngine, type Engine, type EngineOptions } from "./engine.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** Several engines may share a log; they hear each other. */
const listeners: ((announcement: Announcement) => void)[] = [];
const start = (
  log: MemoryLog,
  instance: string,
  more: { leaseMs?: number; checkEnd?: (end: LogEnd) => void; background?: EngineOptions["background"] } = {},
) => {
  const engine = createEngine({
    restore: async () => {},
    checkState: () => {},
    claimRecords: () => [],
    instance,
    log,
    line: { isUp: () => true, onChange: () => () => {}, roundTrip: async () => {} },
    leaders: {
      announce: (announcement) => listeners.forEach((listener) => listener(announcement)),
      onAnnouncement: (handler) => void listeners.push(handler),
    },
    clock: systemClock(),
    logger: pino({ level: "silent" }),
    leaseMs: more.leaseMs ?? 0,
    checkEnd: more.checkEnd ?? (() => {}),
    background: more.background ?? (async () => false),
  });
  const ending = new AbortController();
  const running = engine.run(ending.signal);
  running.catch(() => {});
  stops.push(async () => {
    ending.abort();
    await running.catch(() => {});
  });
  return { engine, running, end: () => ending.abort() };
};

const enrolment = (id: string): LogRecord => ({
  kind: "host_enrolled",
  hostId: id as HostId,
  publicKey: `U${"A".repeat(55)}`,
  by: "test",
});
const enrol = (id: string): Command<string> => ({
  cause: "test",
  splittable: false,
  decide: () => ok({ records: [enrolment(id)], value: id }),
});
const leads = (engine: Engine) => eventually("leading", () => engine.role() === "leading");

/** The next append alone comes to this, and is in the log or is not. */
const failOnce = (log: ReturnType<typeof memoryLog>, store: boolean, outcome: AppendOutcome): void => {
  let isOver = false;
  log.fail(() => {
    if (isOver) return undefined;
    isOver = true;
    return { store, outcome };
  });
};

test("leads by a record whose sequence is the epoch, and folds what it appends", async () => {
  const log = memoryLog();
  const { engine } = start(log, "one");
  await leads(engine);
  expect(engine.state.epoch).toBe(1);
  expect(await engine.submit(enrol("a"))).toEqual({ ok: true, value: { value: "a", revision: 2 } });
  expect([...engine.state.hosts.keys()]).toEqual(["a"]);
  expect(log.entries.map((entry) => [entry.epoch, entry.records[0]?.kind])).toEqual([
    [0, "leader_elected"],
    [1, "host_enrolled"],
  ]);
});

test("commands that join share one transaction: each caller gets its own answer, and one that is refused stops nobody", async () => {
  const log = memoryLog();
  const { engine } = start(log, "one");
  await leads(engine);
  const joining = (id: string): Command<string> => ({ ...enrol(id), cause: `of ${id}`, joinsAs: id });
  const refused: Command<string> = { ...joining("b"), decide: () => err(problem("host.unknown", "no")) };
  const broken: Command<string> = {
    ...joining("c"),
    decide: () => {
      throw new Error("a bug");
    },
  };
  const all = [joining("a"), refused, broken, joining("d"), joining("d"), enrol("e")].map((one) => engine.submit(one));
  expect(await Promise.all(all)).toMatchObject([
    { ok: true, value: { value: "a", revision: 2 } },
    { ok: false, error: { code: "host.unknown" } },
    { ok: false, error: { code: "internal" } },
    { ok: true, value: { value: "d", revision: 2 } },
    { ok: true, value: { value: "d", revision: 3 } },
    { ok: true, value: { value: "e", revision: 4 } },
  ]);
  expect(log.entries.map((entry) => [entry.cause, entry.records.length])).toEqual([
    ["election", 1],
    ["of a and 1 more", 2],
    ["of d", 1],
    ["test", 1],
  ]);
});

test.each([
  ["refused", true],
  ["uncertain", false],
] as const)("an append that is %s is told to all who share it, or all are decided again", async (kind, isAgain) => {
  const log = memoryLog();
  const { engine } = start(log, "one");
  await leads(engine);
  failOnce(log, false, kind === "refused" ? { kind } : { kind, reason: "test" });
  const results = await Promise.all(["a", "b"].map((id) => engine.submit({ ...enrol(id), joinsAs: id })));
  expect(results.map(({ ok: isDone }) => isDone)).toEqual([isAgain, isAgain]);
  await leads(engine);
  expect([...engine.state.hosts.keys()]).toEqual(isAgain ? ["a", "b"] : []);
});

test("plans and what joins take turns, however much of it comes", async () => {
  const log = memoryLog();
  let [plans, reports] = [0, 0];
  const { engine } = start(log, "one", {
    background: async (_, commit) => {
      if (plans === 3) return false;
      plans += 1;
      await commit([enrolment(`plan-${plans}`)], "plan");
      return true;
    },
  });
  engine.onFold((_changes, _sequence, { cause }) => {
    // The first plan is followed by a report, and that by more: each comes as soon as the one before it is folded.
    if (cause === "election" || (cause === "plan" && reports > 0) || reports === 3) return;
    reports += 1;
    void engine.submit({ ...enrol(`report-${reports}`), cause: "report", joinsAs: `report-${reports}` });
    if (reports === 1) void engine.submit({ ...enrol("other"), cause: "report", joinsAs: "other" });
  });
  await eventually("six more entries", () => log.entries.length === 7);
  expect(log.entries.slice(1).map(({ cause, records }) => [cause, records.length])).toEqual([
    ["plan", 1],
    ["report and 1 more", 2],
    ["plan", 1],
    ["report", 1],
    ["plan", 1],
    ["report", 1],
  ]);
});

test("whoever asks among reports is answered while there is always more to plan", async () => {
  const log = memoryLog();
  let [plans, asked, answered, most] = [0, 0, 0, 0];
  const ends = new AbortController();
  const { engine } = start(log, "one", {
    background: async (_, commit) => {
      if (plans === 40) {
        ends.abort();
        return false;
      }
      plans += 1;
      for (let at = 0; at < 4; at += 1) {
        asked += 1;
        const id = `${plans}-${at}`;
        void engine.submit(enrol(`user-${id}`)).then(() => (answered += 1));
        void engine.submit({ ...enrol(`report-${id}`), cause: "report", joinsAs: id });
      }
      await commit([enrolment(`plan-${plans}`)], "plan");
      most = Math.max(most, asked - answered);
      return true;
    },
  });
  await eventually("all plans", () => ends.signal.aborted);
  await eventually("all answers", () => answered === asked);
  expect(asked).toBe(160);
  // Of what was asked for before the last plan but one, nothing waits.
  expect(most).toBeLessThanOrEqual(8);
});

test("a command without records appends nothing", async () => {
  const log = memoryLog();
  const { engine } = start(log, "one");
  await leads(engine);
  const result = await engine.submit({ cause: "x", splittable: false, decide: () => ok({ records: [], value: 1 }) });
  expect(result).toEqual({ ok: true, value: { value: 1, revision: 1 } });
  expect(log.entries).toHaveLength(1);
});

test.each([
  ["stored", true],
  ["not stored", false],
])(
  "an uncertain append (%s): the caller is not told that it worked, the log is read again, and the instance leads with a new epoch",
  async (_name, store) => {
    const log = memoryLog();
    const { engine } = start(log, "one");
    await leads(engine);
    failOnce(log, store, { kind: "uncertain", reason: "test" });
    expect(await engine.submit(enrol("a"))).toMatchObject({ ok: false, error: { code: "log.unavailable" } });
    const again = await engine.submit(enrol("b"));
    expect(again).toMatchObject({ ok: true });
    expect([...engine.state.hosts.keys()]).toEqual(store ? ["a", "b"] : ["b"]);
    expect(engine.state.epoch).toBe(store ? 3 : 2);
    expect(engine.state.revision).toBe(log.entries.length);
  },
);

test("a log that is full refuses the change and nothing else: the instance goes on leading", async () => {
  const log = memoryLog();
  const { engine } = start(log, "one");
  await leads(engine);
  log.fail(() => ({ store: false, outcome: { kind: "rejected", reason: "full" } }));
  expect(await engine.submit(enrol("a"))).toMatchObject({ ok: false, error: { code: "log.unavailable" } });
  log.fail(undefined);
  expect(await engine.submit(enrol("b"))).toMatchObject({ ok: true });
  expect(engine.state.epoch).toBe(1);
});

test("of two instances one leads, the other follows; after a foreign append the old leader stops and folds it", async () => {
  const log = memoryLog();
  const one = start(log, "one");
  await leads(one.engine);
  await one.engine.submit(enrol("a"));
  const two = start(log, "two", { leaseMs: 60_000 });
  await eventually("the follower has folded", () => two.engine.state.hosts.size === 1);
  await one.engine.submit(enrol("b"));
  await eventually("the follower has folded more", () => two.engine.state.hosts.size === 2);
  expect(two.engine.role()).not.toBe("leading");

  // Another instance claims behind the leader's back, as after a pause of the leader.
  await log.append(
    {
      version: 2,
      origin: null,
      epoch: 1,
      atMs: 1,
      cause: "election",
      records: [{ kind: "leader_elected", instance: "three" }],
    },
    log.entries.length,
  );
  // The refused command is decided again once this instance leads again.
  expect(await one.engine.submit(enrol("c"))).toEqual({ ok: true, value: { value: "c", revision: 6 } });
  expect(log.entries.map((entry) => [entry.epoch, entry.records[0]?.kind])).toEqual([
    [0, "leader_elected"],
    [1, "host_enrolled"],
    [1, "host_enrolled"],
    [1, "leader_elected"],
    [4, "leader_elected"],
    [5, "host_enrolled"],
  ]);
});

test("a follower takes over when the leader falls silent", async () => {
  const log = memoryLog();
  const one = start(log, "one");
  await leads(one.engine);
  const two = start(log, "two", { leaseMs: 1_000 });
  one.end();
  await leads(two.engine);
  expect(two.engine.state.epoch).toBe(2);
});

test("an announcement of a newer epoch ends leading before any append is tried", async () => {
  const log = memoryLog();
  const { engine } = start(log, "one");
  await leads(engine);
  const roles: string[] = [];
  engine.onRole((role) => roles.push(role));
  for (const listener of listeners) listener({ instance: "elsewhere", epoch: 99 });
  await eventually("following", () => roles.includes("following"));
});

test("what waits at a follower while nobody leads is given back once another one does, of which it hears once", async () => {
  const log = memoryLog();
  const leader = start(log, "one");
  await leads(leader.engine);
  leader.end();
  const { engine } = start(log, "two", { leaseMs: 60_000 });
  await eventually("following", () => engine.role() === "following");
  let heard = 0;
  engine.onLeader(() => (heard += 1));
  const say = (epoch: number): void => listeners.forEach((listener) => listener({ instance: "elsewhere", epoch }));
  const waiting = engine.submit(enrol("a"));
  // Deposed by what the log says: it leads nobody.
  say(0);
  expect([engine.othersLead(), engine.queueLength(), heard]).toEqual([false, 1, 0]);
  say(7);
  expect(await waiting).toMatchObject({ ok: false, error: { code: "leader.unknown" } });
  say(7);
  expect([engine.othersLead(), engine.queueLength(), heard]).toEqual([true, 0, 1]);
});

test("a log that is not the known one, or lost its end, ends the process instead of starting empty", async () => {
  const refused = start(memoryLog(), "one", {
    checkEnd: () => {
      throw new StartupProblem("another log");
    },
  });
  await expect(refused.running).rejects.toThrow("another log");

  const log = memoryLog();
  const { engine, running } = start(log, "two");
  await leads(engine);
  await engine.submit(enrol("a"));
  log.entries.length = 0;
  log.fail(() => ({ store: false, outcome: { kind: "uncertain", reason: "test" } }));
  void engine.submit(enrol("b"));
  await expect(running).rejects.toThrow("the log ends at 0, but 2 transactions of it are known here");
});

test("a server that is behind for a moment is no loss to a follower that knows better", async () => {
  const log = memoryLog();
  const { end } = log;
  const behind = { is: false };
  const one = start(
    { ...log, end: async () => ({ ...(await end()), ...(behind.is ? { lastSequence: 0 } : {}) }) },
    "one",
    {
      leaseMs: 200,
    },
  );
  await leads(one.engine);
  await one.engine.submit(enrol("a"));
  let failed: unknown;
  one.running.catch((error: unknown) => (failed = error));
  behind.is = true;
  const roles: string[] = [];
  one.engine.onRole((role) => roles.push(role));
  for (const listener of listeners) listener({ instance: "elsewhere", epoch: 99 });
  await eventually("following", () => roles.includes("following"));
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(failed).toBeUndefined();
  behind.is = false;
  await leads(one.engine);
  expect([...one.engine.state.hosts.keys()]).toEqual(["a"]);
});

test("whoever has read an end that was lost, and over which another has written, ends", async () => {
  const log = memoryLog();
  const { engine, running } = start(log, "one", { leaseMs: 50 });
  await leads(engine);
  await engine.submit(enrol("a"));
  await engine.submit(enrol("b"));
  const [, , last] = log.entries;
  if (last === undefined) throw new Error("there are three");
  log.entries.length = 2;
  log.entries.push({ ...last, epoch: 1, records: [{ kind: "leader_elected", instance: "elsewhere" }] });
  log.entries.push({ ...last, epoch: 3, records: [enrolment("c")] });
  for (const listener of listeners) listener({ instance: "elsewhere", epoch: 99 });
  await expect(running).rejects.toThrow("transaction 4 is of epoch 3, whose election was never seen here (epoch 1)");
});

test("a doubt is over when the log is seen whole, although nothing new is in it; meanwhile no state is kept", async () => {
  const log = memoryLog();
  const leader = start(log, "leader");
  await leads(leader.engine);
  let isBehind = false;
  let cut = new AbortController();
  async function* read(from: number, signal: AbortSignal) {
    yield* log.read(from, AbortSignal.any([signal, cut.signal]));
    if (cut.signal.aborted) throw new Error("the line is down");
  }
  const end = async () => ({ ...(await log.end()), ...(isBehind ? { lastSequence: 0 } : {}) });
  const { engine } = start({ ...log, read, end }, "follower", { leaseMs: 60_000 });
  await eventually("it follows", () => engine.isCertain());
  isBehind = true;
  cut.abort();
  await eventually("it doubts", () => engine.role() === "following" && !engine.isCertain());
  cut = new AbortController();
  isBehind = false;
  await eventually("it does so no more", () => engine.isCertain());
  expect(engine.state.revision).toBe(1);
});

test("a listener that throws does not stop the log", async () => {
  const { engine } = start(memoryLog(), "one");
  await leads(engine);
  engine.onFold(() => {
    throw new Error("broken view");
  });
  expect(await engine.submit(enrol("a"))).toMatchObject({ ok: true });
  expect(await engine.submit(enrol("b"))).toMatchObject({ ok: true });
});

test("a decision that throws costs its caller an answer and nobody else anything", async () => {
  const { engine } = start(memoryLog(), "one");
  await leads(engine);
  const broken: Command<string> = {
    cause: "test",
    splittable: false,
    decide: () => {
      throw new Error("a bug");
    },
  };
  expect(await engine.submit(broken)).toMatchObject({ ok: false, error: { code: "internal" } });
  expect(await engine.submit(enrol("b"))).toMatchObject({ ok: true });
  expect(engine.state.epoch).toBe(1);
});

test("background work that throws does not end in elections", async () => {
  let calls = 0;
  const { engine } = start(memoryLog(), "one", {
    background: async () => {
      calls += 1;
      throw new Error("a bug");
    },
  });
  await leads(engine);
  expect(await engine.submit(enrol("a"))).toMatchObject({ ok: true });
  expect(await engine.submit(enrol("b"))).toMatchObject({ ok: true });
  expect(engine.state.epoch).toBe(1);
  expect(calls).toBeGreaterThan(0);
});

test("asks again, right before it decides, whether whoever asked may: by its own state, and without a need only an admin may", async () => {
  const { engine } = start(memoryLog(), "one");
  await leads(engine);
  const access = { id: "abcdefghij", name: "ci", digest: "0".repeat(64), role: "operator", projects: null } as const;
  const made = [{ kind: "access_created", ...access, expiresAtMs: null, by: "admin" }] as const;
  await engine.submit({ cause: "test", splittable: false, decide: () => ok({ records: [...made], value: 0 }) });
  const origin = { who: "ci", via: "token", from: "::1", access: "abcdefghij" } as const;
  const need = { role: "operator" } as const;
  expect(await engine.submit({ ...enrol("a"), origin, need })).toMatchObject({ ok: true });
  expect(await engine.submit({ ...enrol("b"), origin })).toMatchObject({ error: { code: "auth.forbidden" } });
  const revoked = [{ kind: "access_revoked", id: "abcdefghij", name: "ci", by: "admin" }] as const;
  await engine.submit({ cause: "test", splittable: false, decide: () => ok({ records: [...revoked], value: 0 }) });
  expect(await engine.submit({ ...enrol("b"), origin, need })).toMatchObject({ error: { code: "auth.required" } });
  expect([...engine.state.hosts.keys()]).toEqual(["a"]);
});

test("is settled when it leads and has nothing left to plan, and not while it plans", async () => {
  let release: (() => void) | undefined;
  let rounds = 0;
  const background = async (): Promise<boolean> => {
    rounds += 1;
    await new Promise<void>((resolve) => (release = resolve));
    return false;
  };
  const { engine } = start(memoryLog(), "one", { background });
  await leads(engine);
  await eventually("planning", () => release !== undefined);
  expect(engine.isSettled()).toBe(false);
  release?.();
  await eventually("settled", engine.isSettled);
  const before = rounds;
  release = undefined;
  engine.nudge();
  expect(engine.isSettled()).toBe(false);
  await eventually("planning again", () => release !== undefined);
  (release as (() => void) | undefined)?.();
  await eventually("settled again", engine.isSettled);
  expect(rounds).toBe(before + 1);
});
