/** What is let in, and what bounds a session, with a program made of streams. Real ones: e2e/exec.test.ts. */
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import {
  decodeSessionFrame,
  encodeSessionFrame,
  SESSION_OPEN_MS,
  SESSION_WINDOW_BYTES,
  SessionFrame,
  sessionNumbers,
  type AllocationId,
  type ExecLimits,
  type HostId,
  type Rpc,
  type SessionFrameType,
} from "@berth/schema";
import type { ExitRecord } from "../core/container.ts";
import type { Container, ExecProcess, ExecResult, ExecSpec } from "../ports/runtime.ts";
import { FakeClock, turns } from "../testing/fake-clock.ts";
import { emptyState } from "./context.ts";
import { createExecSessions } from "./exec-sessions.ts";

const ALLOCATION = `alloc_${"0".repeat(26)}` as AllocationId;
type Open = Extract<Rpc["op"], { kind: "open" }>;

const setUp = () => {
  const clock = new FakeClock();
  const state = emptyState();
  const signals: number[] = [];
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  let closed = 0;
  let end: (exit: ExitRecord) => void = () => undefined;
  const program: ExecProcess = {
    terminal: false,
    stdin,
    stdout,
    stderr: new PassThrough().end(),
    exited: new Promise((resolve) => (end = resolve)),
    resize: () => Promise.resolve(),
    signal: async (signal) => void signals.push(signal),
    close: () => (closed += 1),
  };
  let paused = false;
  const asked: ExecSpec[] = [];
  let answer = async (): Promise<ExecResult> => ({ ok: true, value: program });
  const container = {
    exec: (spec: ExecSpec) => {
      asked.push(spec);
      return answer();
    },
    isPaused: async () => paused,
  } as unknown as Container;
  state.containers.set(ALLOCATION, {
    ...{ container, startedMonotonicMs: 0, exit: undefined, paused: false },
    ...{ limits: undefined, limitsRefused: undefined },
  });
  const frames: Uint8Array[] = [];
  let take: (frame: Uint8Array) => void = () => undefined;
  const line = {
    openSession: (_id: string, onFrame: (frame: Uint8Array) => void) => {
      take = onFrame;
      return { send: (frame: Uint8Array) => void frames.push(frame), close: () => undefined };
    },
  };
  const silent = () => undefined;
  const log = { debug: silent, info: silent, warn: silent, error: silent };
  const sessions = createExecSessions(() => ({ clock, state, line, log, settings: { host: "h1" as HostId } }));
  let sent = 0;
  return {
    clock,
    state,
    sessions,
    signals,
    stdin,
    stdout,
    asked,
    closes: () => closed,
    pause: () => (paused = true),
    answerWith: (make: () => Promise<ExecResult>) => (answer = make),
    exit: (code: number, more: Partial<ExitRecord> = {}) => {
      stdout.end();
      end({ code, signal: null, oom: false, cause: "exited", error: null, startedAtMs: 1, finishedAtMs: 2, ...more });
    },
    send: (type: SessionFrameType, payload: Uint8Array = new Uint8Array()) => {
      take(encodeSessionFrame(type, sent, payload));
      sent += 1;
    },
    sendRaw: (frame: Uint8Array) => take(frame),
    /** Without those that only say that somebody is there. */
    got: () =>
      frames
        .map((frame, at) => decodeSessionFrame(frame, at) ?? { type: "broken", payload: new Uint8Array() })
        .filter(({ type }) => type !== SessionFrame.alive),
    request: (more: Partial<Open> = {}): Open => ({
      kind: "open",
      allocation: ALLOCATION,
      id: "0".repeat(32),
      expiresAtMs: clock.nowMs() + SESSION_OPEN_MS,
      request: { kind: "exec", command: ["true"], stdin: true },
      ...more,
    }),
  };
};

test("a request is obeyed once, not after it expired, and not when it would be valid for long", async () => {
  const { sessions, request, clock, exit } = setUp();
  const first = request();
  expect((await sessions.open(first)).ok).toBe(true);
  expect(await sessions.open(first)).toMatchObject({ ok: false, problem: { code: "message.stale" } });
  exit(0);
  await turns(3);
  expect(sessions.count()).toBe(0);
  expect(await sessions.open(first)).toMatchObject({ ok: false, problem: { code: "message.stale" } });
  await clock.advance(SESSION_OPEN_MS + 1);
  expect(await sessions.open(first)).toMatchObject({ ok: false, problem: { code: "message.stale" } });
  const eternal = request({ id: "1".repeat(32), expiresAtMs: clock.nowMs() + 3 * SESSION_OPEN_MS });
  expect(await sessions.open(eternal)).toMatchObject({ ok: false, problem: { code: "message.stale" } });
});

test("sessions of one allocation are bounded, and there is none where nothing runs", async () => {
  const { sessions, request, state } = setUp();
  const open = (at: number) => sessions.open(request({ id: at.toString(16).padStart(32, "0") }));
  for (let at = 0; at < 8; at += 1) expect((await open(at)).ok).toBe(true);
  expect(await open(8)).toMatchObject({ ok: false, problem: { code: "request.too_many" } });
  state.containers.clear();
  expect(await open(9)).toMatchObject({ ok: false, problem: { code: "allocation.not_running" } });
});

test("there is none in a container that is paused: it would stand still until somebody gives up", async () => {
  const { sessions, request, pause } = setUp();
  pause();
  expect(await sessions.open(request())).toMatchObject({ ok: false, problem: { code: "allocation.paused" } });
  expect(sessions.count()).toBe(0);
});

const limited = (limits?: ExecLimits): Partial<Open> => ({
  request: { kind: "exec", command: ["true"], ...(limits === undefined ? {} : { limits }) },
});

test("limits are those of the program, and one that was killed for its memory is told so", async () => {
  const asks = async (limits?: ExecLimits) => {
    const { sessions, request, asked } = setUp();
    await sessions.open(request(limited(limits)));
    return asked.map((spec) => spec.limits);
  };
  const all = { memoryBytes: 2 ** 23, pids: 4 };
  expect(await asks({ cpuMillis: 250, ...all })).toEqual([{ cpuLimitMillis: 250, ...all }]);
  expect([await asks({}), await asks()]).toEqual([[undefined], [undefined]]);
  const { sessions, request, exit, got } = setUp();
  await sessions.open(request());
  exit(137, { signal: 9, oom: true, cause: "oom" });
  await turns(5);
  const said = got().find(({ type }) => type === SessionFrame.exit);
  expect(JSON.parse(Buffer.from(said?.payload ?? []).toString())).toEqual({
    ...{ code: 137, signal: 9 },
    detail: "killed: it needed more memory than it, or its container, may have",
  });
});

test("a limit that the host or a supervisor of before cannot enforce refuses the program, and says why", async () => {
  const { sessions, request, answerWith } = setUp();
  const open = (at: number) => sessions.open(request({ id: `${at}`.repeat(32), ...limited({ pids: 4 }) }));
  const error = {
    stage: "spec",
    errno: 95,
    code: "EOPNOTSUPP",
    detail: "limits.pids: this host has no such controller",
  };
  const exit: ExitRecord = {
    ...{ code: 125, signal: null, oom: false, cause: "start_failed", error },
    ...{ startedAtMs: null, finishedAtMs: 1 },
  };
  answerWith(async () => ({ ok: false, error, exit }));
  expect(await open(1)).toMatchObject({
    problem: { code: "request.invalid", detail: "limits.pids: this host has no such controller" },
  });
  const old = "control: exec: the supervisor is of an older version (level 5, 6 is needed) (ENOSYS)";
  answerWith(() => Promise.reject(Object.assign(new Error(old), { error: { ...error, code: "ENOSYS" } })));
  expect(await open(2)).toMatchObject({ problem: { code: "request.invalid", detail: old } });
  answerWith(() => Promise.reject(new Error("it hung up")));
  expect(await open(3)).toMatchObject({ problem: { code: "allocation.not_running" } });
  expect(sessions.count()).toBe(0);
});

test("output waits for credit: a flood sends one window and no byte more", async () => {
  const { sessions, request, stdout, got, send, exit } = setUp();
  await sessions.open(request());
  stdout.write(Buffer.alloc(SESSION_WINDOW_BYTES + 100));
  await turns(5);
  const bytes = () =>
    got().reduce((sum, { type, payload }) => sum + (type === SessionFrame.stdout ? payload.length : 0), 0);
  expect(bytes()).toBe(SESSION_WINDOW_BYTES);
  send(SessionFrame.credit, sessionNumbers(60));
  await turns(5);
  expect(bytes()).toBe(SESSION_WINDOW_BYTES + 60);
  exit(3);
  send(SessionFrame.credit, sessionNumbers(40));
  await turns(5);
  expect(bytes()).toBe(SESSION_WINDOW_BYTES + 100);
  const last = got().at(-1);
  expect([last?.type, Buffer.from(last?.payload ?? []).toString()]).toEqual([
    SessionFrame.exit,
    JSON.stringify({ code: 3, signal: null, detail: null }),
  ]);
});

test.each([
  ["a frame that does not follow", encodeSessionFrame(SessionFrame.alive, 7, new Uint8Array())],
  ["more credit than there can be", encodeSessionFrame(SessionFrame.credit, 0, sessionNumbers(1))],
  ["a frame of the other side", encodeSessionFrame(SessionFrame.stdout, 0, new Uint8Array(1))],
  ["the end of the user's side", encodeSessionFrame(SessionFrame.close, 0, new Uint8Array())],
])("%s ends it: told, hung up, killed a moment later", async (_what, frame) => {
  const { sessions, request, sendRaw, got, signals, closes, clock } = setUp();
  await sessions.open(request());
  sendRaw(frame);
  expect(got().at(-1)?.type).toBe(SessionFrame.close);
  expect([sessions.count(), signals, closes()]).toEqual([0, [1], 0]);
  await clock.advance(2_000);
  expect(closes()).toBe(1);
});

test("silence of the user's side ends it; input after its end does, and gets no credit", async () => {
  const silent = setUp();
  await silent.sessions.open(silent.request());
  await silent.clock.advance(25_000);
  expect([silent.sessions.count(), silent.signals]).toEqual([0, [1]]);

  const late = setUp();
  await late.sessions.open(late.request());
  late.send(SessionFrame.stdin, new Uint8Array(10));
  await turns(2);
  late.send(SessionFrame.eof);
  late.send(SessionFrame.stdin, new Uint8Array(10));
  await turns(2);
  expect(late.got().map(({ type }) => type)).toEqual([SessionFrame.credit, SessionFrame.close]);
});
