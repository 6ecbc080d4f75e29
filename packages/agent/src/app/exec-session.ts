/**
 * One session of a user in a container: frames go both ways with a sequence and under a window of credit, so that a
 * reader who stops stops the program and nothing grows here.
 *
 * A session ends with the program, when the other side closes it or falls silent, when a frame is missing, or with the
 * agent. The program of a session that ends early gets SIGHUP, and is killed a moment later: none outlives who watches it.
 */
import type { Readable } from "node:stream";
import {
  decodeSessionFrame,
  encodeSessionFrame,
  readSessionNumber,
  SESSION_ALIVE_MS,
  SESSION_DEATH_MS,
  SESSION_FRAME_BYTES,
  SESSION_WINDOW_BYTES,
  SessionFrame,
  sessionNumbers,
  type SessionFrameType,
} from "@berth/schema";
import type { SchedulerLine, SessionLine } from "../ports/line.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";
import type { SessionProgram } from "./session-program.ts";

const HANGUP_MS = 2_000;
const CREDIT_STEP = SESSION_WINDOW_BYTES / 4;
const NOTHING = new Uint8Array();
const text = new TextEncoder();

/** What of the agent a session needs. */
export interface SessionContext extends Pick<AgentContext, "clock" | "log"> {
  readonly line: Pick<SchedulerLine, "openSession">;
}

/** Returns how to end it early; undefined when there is no line. */
export const startSession = (
  { clock, line, log }: SessionContext,
  id: string,
  program: SessionProgram,
  onEnd: () => void,
): (() => Promise<void>) | undefined => {
  const carrier: SessionLine | undefined = line.openSession(id, (frame) => receive(frame));
  if (carrier === undefined) return undefined;
  let sent = 0;
  let received = 0;
  let outCredit = SESSION_WINDOW_BYTES;
  let inUse = 0;
  let toGive = 0;
  let inputEnded = false;
  let heardMs = clock.monotonicMs();
  let over = false;
  let wakeWriters: (() => void)[] = [];
  let cancelTick = (): void => undefined;

  const send = (type: SessionFrameType, payload: Uint8Array = NOTHING): void => {
    if (over) return;
    carrier.send(encodeSessionFrame(type, sent, payload));
    sent += 1;
  };

  /** The last frame says why there is no other. */
  const finish = (type: SessionFrameType, payload: Uint8Array): void => {
    send(type, payload);
    over = true;
    cancelTick();
    for (const wake of wakeWriters) wake();
    wakeWriters = [];
    carrier.close();
    onEnd();
  };

  const endEarly = async (why: string): Promise<void> => {
    if (over) return;
    log.info({ why }, "exec.ended_early");
    finish(SessionFrame.close, text.encode(why));
    await program.hangUp((run) => void clock.after(HANGUP_MS, run));
  };
  const drop = (why: string): void => void endEarly(why);

  const give = (bytes: number): void => {
    inUse -= bytes;
    toGive += bytes;
    // After the end of its input nobody has use for credit.
    if (over || inputEnded || (toGive < CREDIT_STEP && inUse > 0)) return;
    send(SessionFrame.credit, sessionNumbers(toGive));
    toGive = 0;
  };

  const takeInput = (payload: Uint8Array): void => {
    if (inputEnded) return drop("input came after its end");
    const { length } = payload;
    inUse += length;
    if (length === 0 || inUse + toGive > SESSION_WINDOW_BYTES) return drop("more input than the window holds");
    // What nobody reads any more counts as read: the program may have closed its input and still run.
    program.stdin.write(Buffer.from(payload), () => give(length));
  };

  const receive = (frame: Uint8Array): void => {
    if (over) return;
    const decoded = decodeSessionFrame(frame, received);
    if (decoded === undefined) return drop("a frame is missing or broken");
    received += 1;
    heardMs = clock.monotonicMs();
    const { type, payload } = decoded;
    const first = readSessionNumber(payload, 0) ?? 0;
    switch (type) {
      case SessionFrame.stdin:
        return takeInput(payload);
      case SessionFrame.credit:
        outCredit += first;
        if (outCredit > SESSION_WINDOW_BYTES) return drop("more credit than the window");
        for (const wake of wakeWriters.splice(0)) wake();
        return;
      case SessionFrame.eof:
        inputEnded = true;
        program.stdin.end();
        return;
      case SessionFrame.resize: {
        const size = { columns: first, rows: readSessionNumber(payload, 1) ?? 0 };
        program.resize(size).catch((error: unknown) => log.debug({ error: errorFields(error) }, "exec.not_resized"));
        return;
      }
      case SessionFrame.signal:
        program.signal(first).catch((error: unknown) => log.debug({ error: errorFields(error) }, "exec.not_signalled"));
        return;
      case SessionFrame.close:
        return drop("closed by the user's side");
      case SessionFrame.alive:
        return;
      default:
        return drop("an unexpected frame");
    }
  };

  const pump = async (stream: Readable, type: SessionFrameType): Promise<void> => {
    for await (const chunk of stream) {
      const bytes = chunk as Buffer;
      for (let at = 0; at < bytes.length;) {
        while (outCredit === 0 && !over) await new Promise<void>((resolve) => wakeWriters.push(resolve));
        if (over) return;
        const part = bytes.subarray(at, at + Math.min(SESSION_FRAME_BYTES, outCredit));
        outCredit -= part.length;
        at += part.length;
        send(type, part);
      }
    }
  };

  const tick = (): void => {
    if (over) return;
    if (clock.monotonicMs() - heardMs > SESSION_DEATH_MS) return drop("the user's side is silent");
    send(SessionFrame.alive);
    cancelTick = clock.after(SESSION_ALIVE_MS, tick);
  };

  const run = async (): Promise<void> => {
    await Promise.all([pump(program.stdout, SessionFrame.stdout), pump(program.stderr, SessionFrame.stderr)]);
    const exit = await program.exited;
    if (over) return;
    finish(SessionFrame.exit, text.encode(JSON.stringify(exit)));
    program.close();
  };

  tick();
  run().catch((error: unknown) => {
    log.warn({ error: errorFields(error) }, "exec.output_failed");
    drop("its output cannot be read any more");
  });
  return () => endEarly("the agent stops");
};
