/** Who pauses a container to read it, and when it goes on, with a container that is made of two facts. */
import { expect, test } from "vitest";
import type { Rpc } from "@berth/schema";
import { newRecord } from "../core/record.ts";
import type { Container } from "../ports/runtime.ts";
import { quietLog } from "../testing/fake-agent.ts";
import { turns } from "../testing/fake-clock.ts";
import { allocationId, testSpec } from "../testing/fake-scheduler.ts";
import { emptyState, type AgentContext } from "./context.ts";
import { stop } from "./end.ts";
import { answerPause } from "./pause-rpc.ts";
import { openStanding } from "./snapshots.ts";
import { openWritten, resumePaused } from "./written.ts";

const setUp = () => {
  const id = allocationId();
  const spec = testSpec(["true"]);
  const allocation = {
    id,
    project: "p",
    job: "j",
    jobVersion: 1,
    index: 0,
    attempt: 1,
    epoch: 1,
    desired: "run",
    spec: "s",
  };
  const state = emptyState();
  const frozen = { now: false };
  const hooks = { onPause: () => undefined as void };
  const container = {
    writablePath: "/upper",
    isPaused: async () => (await turns(2), frozen.now),
    stop: async () => ((frozen.now = false), { cause: "exited" }),
    pause: async () => {
      await turns(2);
      frozen.now = true;
      hooks.onPause();
    },
    resume: async () => {
      await turns(2);
      frozen.now = false;
    },
  } as unknown as Container;
  state.document = { version: 1, host: "h", epoch: 1, rev: 1, specs: { s: spec }, allocations: [allocation] } as never;
  state.records.set(id, { ...newRecord(allocation as never, spec), state: "running", slot: 1 });
  const live = {
    ...{ container, startedMonotonicMs: 0, exit: undefined, paused: false },
    ...{ limits: undefined, limitsRefused: undefined },
  };
  state.containers.set(id, live);
  const notes = new Set<string>();
  const files = {
    notePause: async (one: string, paused: boolean) => {
      await turns(3);
      if (paused) notes.add(one);
      else notes.delete(one);
    },
    pausesNoted: async () => (await turns(1), [...notes]),
  };
  let held = 0;
  const kept = {
    get: () => undefined,
    directory: () => "/kept",
    hold: () => {
      held += 1;
      return () => void (held -= 1);
    },
  };
  const images = { layersOf: () => ["/layer"] };
  const settings = { host: "h", ids: { base: 0, slots: 10 } };
  const context = {
    files,
    images,
    kept,
    log: quietLog(),
    settings,
    state,
    beat: () => undefined,
    journal: { saveRecord: () => turns(2) },
    wakeReporter: () => undefined,
  } as unknown as AgentContext;
  const open = async () => {
    const opened = await openWritten(context, id, { pause: true });
    if (!opened.ok) throw new Error(JSON.stringify(opened.error));
    return opened.value;
  };
  return { context, frozen, held: () => held, hooks, id, live, notes, open, state };
};

test("it runs until it is read, and is held from the opening on", async () => {
  const made = setUp();
  const { release, tree } = await made.open();
  expect([made.frozen.now, made.held()]).toEqual([false, 1]);
  const goOn = await tree.still();
  expect([made.frozen.now, [...made.notes]]).toEqual([true, [made.id]]);
  await goOn();
  expect([made.frozen.now, made.notes.size, made.held()]).toEqual([false, 0, 1]);
  release();
  expect(made.held()).toBe(0);
});

test("one that begins to read while another ends finds it still, and it goes on afterwards", async () => {
  for (let delay = 0; delay < 12; delay += 1) {
    const made = setUp();
    const { tree } = await made.open();
    const goOn = await tree.still();
    const ending = goOn();
    await turns(delay);
    const next = await tree.still();
    await ending;
    expect([made.frozen.now, made.notes.size]).toEqual([true, 1]);
    await next();
    expect([made.frozen.now, made.notes.size]).toEqual([false, 0]);
  }
});

test("what a user paused meanwhile stays paused, whoever begins to read then", async () => {
  const made = setUp();
  const { tree } = await made.open();
  const first = await tree.still();
  const op = { kind: "pause", allocation: made.id } as Extract<Rpc["op"], { kind: "pause" }>;
  expect((await answerPause(made.context, op)).ok).toBe(true);
  const second = await tree.still();
  await Promise.all([first(), second()]);
  expect(made.frozen.now).toBe(true);
});

test("one that is told to end while it is paused runs on, to hear that", async () => {
  const made = setUp();
  const { tree } = await made.open();
  made.hooks.onPause = () => {
    const record = made.state.records.get(made.id);
    if (record !== undefined) made.state.records.set(made.id, { ...record, state: "stopping" });
  };
  await tree.still();
  expect([made.frozen.now, made.notes.size]).toEqual([false, 0]);
});

test("a snapshot is of one moment: not of a container that a user or its end let go on meanwhile", async () => {
  const op = (kind: "pause" | "resume", made: ReturnType<typeof setUp>) =>
    answerPause(made.context, { kind, allocation: made.id });
  const standing = async (made: ReturnType<typeof setUp>) => {
    await op("pause", made);
    const opened = await openStanding(made.context, made.id);
    if (!opened.ok) throw new Error(JSON.stringify(opened.error));
    return opened.value.tree;
  };
  const still = await standing(setUp());
  expect(still.checkStood).not.toThrow();

  const resumed = setUp();
  const goesOn = await standing(resumed);
  await op("resume", resumed);
  await op("pause", resumed);
  expect(goesOn.checkStood).toThrow("was resumed while it was read");

  const stopped = setUp();
  const ends = await standing(stopped);
  await stop(stopped.context, { kind: "stop", id: stopped.id, cause: "requested" } as never);
  expect(ends.checkStood).toThrow("was resumed while it was read");

  const stopping = setUp();
  stopping.frozen.now = true;
  const record = stopping.state.records.get(stopping.id);
  if (record !== undefined) stopping.state.records.set(stopping.id, { ...record, state: "stopping" });
  expect(await openStanding(stopping.context, stopping.id)).toMatchObject({ error: { code: "allocation.running" } });
});

test("a container that cannot go on fails no start of the agent", async () => {
  const made = setUp();
  made.notes.add(made.id);
  made.live.container.resume = () => Promise.reject(new Error("EBUSY"));
  await resumePaused(made.context);
  expect([...made.notes]).toEqual([made.id]);
});
