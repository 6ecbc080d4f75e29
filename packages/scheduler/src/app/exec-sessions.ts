/**
 * Sessions of users in containers, passed on between a user's connection and an agent. Credits go from end to end, so at
 * most a window of bytes of each direction is here; whoever sends more than it was given is cut off. A session dies with
 * either connection, and with this instance: the agent hears nothing any more and ends the program.
 */
import {
  decodeJson,
  decoder,
  decodeSessionFrame,
  encodeSessionFrame,
  err,
  ok,
  problem,
  readSessionNumber,
  SESSION_ALIVE_MS,
  SESSION_DEATH_MS,
  SESSION_FRAME_BYTES,
  SESSION_OPEN_MS,
  SESSION_WINDOW_BYTES,
  SessionExitSchema,
  SessionFrame,
  sessionNumbers,
  SessionOpenedSchema,
  type AllocationId,
  type HostId,
  type Problem,
  type Result,
  type SessionControl,
  type SessionEvent,
  type SessionFrameType,
  type SessionRequest,
} from "@berth/schema";
import type { ClusterState } from "../core/index.ts";
import type { AgentLine, SessionCarrier } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { AskAgent } from "./agent-rpc.ts";

export interface SessionClient {
  readonly event: (event: SessionEvent) => void;
  /** `stream`: SESSION_STDOUT or SESSION_STDERR. */
  readonly output: (stream: number, bytes: Uint8Array) => void;
  /** The end; nothing follows. Undefined: the program has ended and its exit was told. */
  readonly end: (why: Problem | undefined) => void;
}

export interface Session {
  readonly control: (control: Exclude<SessionControl, { kind: "open" }>) => void;
  readonly input: (bytes: Uint8Array) => void;
  /** The user has gone. */
  readonly close: () => void;
}

export interface ExecSessions {
  /** Why there can be no session now, before anything of it exists. */
  readonly check: (allocation: AllocationId) => Problem | undefined;
  readonly open: (allocation: AllocationId, request: SessionRequest, client: SessionClient) => Session;
  /** Ends all. */
  readonly close: () => void;
  readonly count: () => number;
}

const MAX_SESSIONS = 256;
/** A program is started in less; the host may be busy. */
const START_MS = 5_000;
const NOTHING = new Uint8Array();
/** Before the agent's answer: a window in small frames, each of which costs memory of its own. */
const EARLY_BYTES = 2 * SESSION_WINDOW_BYTES;
const EARLY_FRAME_BYTES = 128;

/** For people to read; it comes from a host, so it is bounded and one line. */
const reasonIn = (payload: Uint8Array): string =>
  new TextDecoder().decode(payload.subarray(0, 512)).replaceAll(/[^\x20-\x7e]/g, "?");

const decodeOpened = decoder(SessionOpenedSchema);
const decodeExit = decoder(SessionExitSchema);

export const createExecSessions = (
  state: ClusterState,
  line: Pick<AgentLine, "openSession">,
  askAgent: AskAgent,
  clock: Clock,
): ExecSessions => {
  const live = new Set<() => void>();

  const find = (allocation: AllocationId): Result<HostId, Problem> => {
    const record = state.allocations.get(allocation);
    if (record === undefined) return err(problem("allocation.not_found", `there is no allocation ${allocation}`));
    if (record.state !== "running" && record.state !== "stopping") {
      return err(problem("allocation.not_running", `${allocation} is ${record.state}`));
    }
    const host = state.hosts.get(record.hostId);
    if (host === undefined || host.session === null || host.state === "lost") {
      return err(problem("agent.unreachable", `host ${record.hostId} is silent`, { retryAfterMs: 2_000 }));
    }
    return ok(host.id);
  };

  return {
    count: () => live.size,
    check: (allocation) => {
      const found = find(allocation);
      if (!found.ok) return found.error;
      if (live.size < MAX_SESSIONS) return undefined;
      return problem("request.too_many", `${live.size} sessions are open on this scheduler`, { retryAfterMs: 5_000 });
    },
    open: (allocation, request, client) => {
      let host: string = allocation;
      let agentSession: string | null | undefined;
      let carrier: SessionCarrier | undefined;
      let sent = 0;
      let received = 0;
      let opened = false;
      let over = false;
      /** What either side was given and has not used. */
      let fromUser = SESSION_WINDOW_BYTES;
      let fromAgent = SESSION_WINDOW_BYTES;
      let heardMs = clock.monotonicMs();
      let cancelTick = (): void => {};
      /** What arrived before the answer, at most a window of output. */
      let early: Uint8Array[] = [];
      let earlyBytes = 0;
      let inputEnded = false;

      const send = (type: SessionFrameType, payload: Uint8Array = NOTHING): void => {
        carrier?.send(encodeSessionFrame(type, sent, payload));
        sent += 1;
      };
      const finish = (why: Problem | undefined, tell: boolean): void => {
        if (over) return;
        over = true;
        cancelTick();
        live.delete(stop);
        if (tell && carrier !== undefined) send(SessionFrame.close);
        carrier?.close();
        client.end(why);
      };
      const fail = (why: Problem): void => finish(why, true);
      const stop = (): void => fail(problem("leader.unknown", "this scheduler stops", { retryAfterMs: 1_000 }));
      const broken = (what: string): void => fail(problem("agent.unreachable", `the session broke: ${what}`));

      const output = (stream: number, payload: Uint8Array): void => {
        fromAgent -= payload.length;
        if (fromAgent < 0) return broken("the agent sent more than it may");
        client.output(stream, payload);
      };

      const take = (frame: Uint8Array): void => {
        const decoded = decodeSessionFrame(frame, received);
        if (decoded === undefined) return broken("something between here and the host was lost");
        received += 1;
        const { type, payload } = decoded;
        switch (type) {
          case SessionFrame.stdout:
          case SessionFrame.stderr:
            return output(type, payload);
          case SessionFrame.credit: {
            const bytes = readSessionNumber(payload, 0) ?? 0;
            fromUser += bytes;
            if (bytes < 1 || fromUser > SESSION_WINDOW_BYTES) return broken("the agent gave more credit than there is");
            return client.event({ kind: "credit", bytes });
          }
          case SessionFrame.exit: {
            const exit = decodeJson(decodeExit, new TextDecoder().decode(payload), "the exit");
            if (!exit.ok) return broken("its end cannot be read");
            client.event({ kind: "exit", exit: exit.value });
            return finish(undefined, false);
          }
          case SessionFrame.close:
            return finish(problem("agent.unreachable", `${host} ended it: ${reasonIn(payload)}`), false);
          case SessionFrame.alive:
            return;
          default:
            return broken("the agent sent what only a user sends");
        }
      };

      const receive = (frame: Uint8Array): void => {
        if (over) return;
        heardMs = clock.monotonicMs();
        if (opened) return take(frame);
        early.push(frame);
        earlyBytes += frame.length + EARLY_FRAME_BYTES;
        if (earlyBytes > EARLY_BYTES) broken("too much came too early");
      };

      const tick = (): void => {
        if (over) return;
        if (clock.monotonicMs() - heardMs > SESSION_DEATH_MS) return broken("the host is silent");
        const now = find(allocation);
        if (now.ok && state.hosts.get(now.value)?.session !== agentSession)
          return broken("the agent was started again");
        send(SessionFrame.alive);
        cancelTick = clock.after(SESSION_ALIVE_MS, tick);
      };

      const begin = async (): Promise<void> => {
        const found = find(allocation);
        if (!found.ok) return fail(found.error);
        host = found.value;
        agentSession = state.hosts.get(found.value)?.session;
        const id = Buffer.from(clock.randomBytes(16)).toString("hex");
        carrier = line.openSession(found.value, id, receive);
        const expiresAtMs = clock.nowMs() + SESSION_OPEN_MS;
        const answer = await askAgent(found.value, { kind: "open", allocation, id, expiresAtMs, request }, START_MS);
        // Who left meanwhile has said so to nobody: the agent has only just begun to listen.
        if (over) {
          if (answer.ok) carrier.send(encodeSessionFrame(SessionFrame.close, 0, NOTHING));
          return;
        }
        if (!answer.ok) return finish(answer.error, false);
        const value = decodeOpened(answer.value);
        if (!value.ok) return broken("the agent's answer cannot be read");
        opened = true;
        heardMs = clock.monotonicMs();
        client.event({ kind: "opened", terminal: value.value.terminal });
        tick();
        const waiting = early;
        early = [];
        for (const frame of waiting) if (!over) take(frame);
      };

      live.add(stop);
      begin().catch((error: unknown) => fail(problem("internal", error instanceof Error ? error.message : "unknown")));

      const notYet = (): boolean => {
        if (!opened && !over) fail(problem("message.invalid", "wait for `opened` before you send anything else"));
        return over;
      };

      return {
        input: (bytes) => {
          if (notYet()) return;
          if (inputEnded) return fail(problem("message.invalid", "input came after `eof`"));
          fromUser -= bytes.length;
          if (fromUser < 0) return fail(problem("message.invalid", "more input than credit was given for"));
          for (let at = 0; at < bytes.length; at += SESSION_FRAME_BYTES) {
            send(SessionFrame.stdin, bytes.subarray(at, at + SESSION_FRAME_BYTES));
          }
        },
        control: (control) => {
          if (notYet()) return;
          switch (control.kind) {
            case "eof":
              inputEnded = true;
              return send(SessionFrame.eof);
            case "resize":
              return send(SessionFrame.resize, sessionNumbers(control.columns, control.rows));
            case "signal":
              return send(SessionFrame.signal, sessionNumbers(control.signal));
            case "credit":
              fromAgent += control.bytes;
              if (fromAgent > SESSION_WINDOW_BYTES) {
                return fail(problem("message.invalid", "more credit than there was output"));
              }
              return send(SessionFrame.credit, sessionNumbers(control.bytes));
          }
        },
        close: () => finish(undefined, true),
      };
    },
    close: () => {
      for (const stop of [...live]) stop();
    },
  };
};
