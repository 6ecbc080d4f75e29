/**
 * The agent's end of a connection that carries a program's bytes: attached to a container, or to a program that was
 * executed in one. Bytes go both ways in frames; what a consumer does not read stays in the kernel, where it is bounded.
 *
 * Both outputs share one connection: one that is not read holds up the other, so read both or destroy the one that
 * nobody wants.
 */
import type { Socket } from "node:net";
import { constants } from "node:os";
import { Readable, Writable } from "node:stream";
import { nativeError, NativeFailure } from "./errors.ts";
import { op, reply, ReplyReader, request, sizeWord, type Reply } from "./frames.ts";
import type { LogReader } from "./log.ts";
import { LOG_STREAMS } from "./log-format.ts";
import type { Attachment, AttachEnd, TerminalSize } from "./types.ts";

const TIMEOUT_MS = 5000;
const MAX_INPUT = 32_768;
const OUTPUT_BUFFER = 256 * 1024;

interface Question {
  readonly a?: number;
  readonly b?: number;
  /** What follows the request. */
  readonly payload?: Uint8Array;
  /** A refusal is an answer, too: for one that says more than an errno. */
  readonly raw?: boolean;
}

interface Waiting {
  readonly type: number;
  readonly raw: boolean;
  resolve(answer: Reply): void;
  reject(cause: NativeFailure): void;
  readonly timer: NodeJS.Timeout;
}

export interface SessionEvents {
  /** A frame that is no answer and no output. */
  onEvent(event: Reply): void;
  onClose(): void;
}

const failure = (errno: number, detail: string): NativeFailure =>
  new NativeFailure(nativeError("control", errno, detail));

export class Session {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly #socket: Socket;
  readonly #events: SessionEvents;
  readonly #reader = new ReplyReader();
  readonly #waiting = new Map<number, Waiting>();
  /** A hold on the socket for each reason not to read from it. */
  readonly #holds = new Set<string>();
  /** Output that arrives before what belongs in front of it. */
  #early: { readonly stream: number; readonly bytes: Buffer }[] | undefined;
  #seq = 0;

  constructor(socket: Socket, events: SessionEvents) {
    this.#socket = socket;
    this.#events = events;
    this.stdout = this.#output("stdout");
    this.stderr = this.#output("stderr");
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        for (let at = 0; at < chunk.length; at += MAX_INPUT) {
          const part = chunk.subarray(at, at + MAX_INPUT);
          socket.write(request(op.input, 0, part.length));
          socket.write(part, at + MAX_INPUT >= chunk.length ? (cause) => done(cause ?? null) : undefined);
        }
        if (chunk.length === 0) done();
      },
      final: (done) => void this.ask(op.closeInput, reply.done).then(() => done(), done),
    });
    /* A program that ends does not read to the end. */
    this.stdin.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#closed());
  }

  /** Rejects with a NativeFailure when the supervisor refuses or does not answer. */
  async ask(code: number, type: number, { a = 0, b = 0, payload, raw = false }: Question = {}): Promise<Reply> {
    if (this.#socket.destroyed) throw failure(constants.errno.ENOTCONN, "the connection has ended");
    const seq = (this.#seq += 1);
    const answer = new Promise<Reply>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(seq);
        reject(failure(constants.errno.ETIMEDOUT, "the supervisor does not answer"));
      }, TIMEOUT_MS);
      this.#waiting.set(seq, { type, raw, resolve, reject, timer });
    });
    this.#socket.write(request(code, seq, a, b));
    if (payload !== undefined) this.#socket.write(payload);
    return await answer;
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.ask(op.resize, reply.done, { a: sizeWord(size) });
  }

  hold(reason: string): void {
    this.#holds.add(reason);
    this.#socket.pause();
  }

  release(reason: string): void {
    this.#holds.delete(reason);
    if (this.#holds.size === 0) this.#socket.resume();
  }

  /** From now on output waits for `begin`. */
  delay(): void {
    this.#early = [];
    this.hold("delay");
  }

  begin(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const { stream, bytes } of early) this.put(stream, bytes);
    this.release("delay");
  }

  put(stream: number, bytes: Buffer): void {
    const output = stream === 1 ? this.stderr : this.stdout;
    if (!output.destroyed && !output.push(bytes)) this.hold(stream === 1 ? "stderr" : "stdout");
  }

  endOutput(): void {
    for (const output of [this.stdout, this.stderr]) if (!output.destroyed) output.push(null);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #output(name: string): Readable {
    return new Readable({
      highWaterMark: OUTPUT_BUFFER,
      read: () => this.release(name),
      destroy: (cause, done) => {
        this.release(name);
        done(cause);
      },
    });
  }

  #receive(chunk: Buffer): void {
    for (const frame of this.#reader.push(chunk)) this.#dispatch(frame);
    const wrong = this.#reader.error;
    if (wrong === undefined) return;
    this.#failAll(
      wrong.kind === "version"
        ? failure(constants.errno.EPROTONOSUPPORT, `the supervisor speaks control version ${wrong.spoken}`)
        : failure(constants.errno.EPROTO, "the supervisor's answer cannot be read"),
    );
    this.#socket.destroy();
  }

  #dispatch(frame: Reply): void {
    if (frame.type === reply.output) {
      if (this.#early === undefined) return this.put(frame.error, frame.payload);
      this.#early.push({ stream: frame.error, bytes: frame.payload });
      return;
    }
    if (frame.type === reply.attached) this.delay();
    const waiting = frame.seq === 0 ? undefined : this.#waiting.get(frame.seq);
    if (waiting === undefined) return this.#events.onEvent(frame);
    this.#waiting.delete(frame.seq);
    clearTimeout(waiting.timer);
    if (frame.error !== 0 && !waiting.raw)
      waiting.reject(failure(frame.error, "the supervisor did not carry out the request"));
    else if (frame.type !== waiting.type) waiting.reject(failure(constants.errno.EPROTO, "an unexpected answer"));
    else waiting.resolve(frame);
  }

  #failAll(cause: NativeFailure): void {
    for (const [seq, waiting] of this.#waiting) {
      this.#waiting.delete(seq);
      clearTimeout(waiting.timer);
      waiting.reject(cause);
    }
  }

  #closed(): void {
    this.#failAll(failure(constants.errno.ECONNRESET, "the connection has ended"));
    this.stdin.destroy();
    this.endOutput();
    this.#events.onClose();
  }
}

/** Output that was there before comes first, from the log; then what is written from now on. */
export const attach = async (socket: Socket, log: LogReader, scrollbackBytes: number): Promise<Attachment> => {
  let ended = false;
  let detached = false;
  let close: (end: AttachEnd) => void = () => undefined;
  const closed = new Promise<AttachEnd>((resolve) => (close = resolve));
  const session: Session = new Session(socket, {
    onEvent: (event) => {
      if (event.type === reply.exit) ended = true;
    },
    onClose: () => close(ended ? "ended" : detached ? "detached" : "dropped"),
  });
  try {
    const { payload } = await session.ask(op.attach, reply.attached);
    const flags = payload.readUInt32LE(16);
    if (scrollbackBytes > 0) {
      for (const [index, name] of LOG_STREAMS.entries()) {
        const end = Number(payload.readBigUInt64LE(index * 8));
        const from = Math.max(0, end - scrollbackBytes);
        const piece = await log.read(name, from, end - from);
        const before = piece.data.subarray(0, Math.max(0, end - piece.offset));
        if (before.length > 0) session.put(index, before);
      }
    }
    session.begin();
    return {
      terminal: (flags & 1) !== 0,
      takesInput: (flags & 2) !== 0,
      stdin: session.stdin,
      stdout: session.stdout,
      stderr: session.stderr,
      closed,
      resize: (size) => session.resize(size),
      detach: () => {
        detached = true;
        session.destroy();
      },
    };
  } catch (cause) {
    session.destroy();
    throw cause;
  }
};
