/**
 * The agent's end of a supervisor's control socket (include/control.h): requests, replies in order of their sequence
 * numbers, events in between. A supervisor that speaks anything else is disconnected.
 */
import { constants } from "node:os";
import type { Binding, Link } from "./binding.ts";
import { nativeError, NativeFailure } from "./errors.ts";
import { op, reply, ReplyReader, request, sizeWord, type FramingError, type Reply } from "./frames.ts";
import { parseExit, parseStatus, type StatusRecord } from "./records.ts";
import type { ExitRecord, TerminalSize } from "./types.ts";

const MAX_PENDING = 64;
const TIMEOUT_MS = 5000;

export interface ControlEvents {
  /** The program runs; also called with the answer to `subscribe`. */
  onStatus(status: StatusRecord): void;
  onExit(exit: ExitRecord): void;
  /** The connection is gone; nothing follows. */
  onClose(): void;
}

interface Pending {
  resolve(): void;
  reject(cause: NativeFailure): void;
  readonly timer: NodeJS.Timeout;
}

export class ControlConnection {
  readonly #link: Link;
  readonly #events: ControlEvents;
  readonly #pending = new Map<number, Pending>();
  #seq = 0;
  #closed = false;
  readonly #reader = new ReplyReader();
  /** Why this side ended the connection. */
  refused: FramingError | undefined;

  /** Takes over a connected socket. */
  constructor(binding: Binding, socket: number, events: ControlEvents) {
    this.#events = events;
    this.#link = new binding.Link(socket, (bytes) => {
      if (bytes === null) this.destroy();
      else this.#receive(bytes);
    });
  }

  /** `exec` names another program than the container's own. */
  signal(signal: number, exec = 0): Promise<void> {
    return this.#request(op.signal, signal, exec);
  }

  resize(size: TerminalSize, exec = 0): Promise<void> {
    return this.#request(op.resize, sizeWord(size), exec);
  }

  kill(exec = 0): Promise<void> {
    return this.#request(op.kill, 0, exec);
  }

  renew(untilMs: number): Promise<void> {
    return this.#request(op.renew, untilMs % 2 ** 32, Math.floor(untilMs / 2 ** 32));
  }

  subscribe(): Promise<void> {
    return this.#request(op.subscribe);
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#link.close();
    /* Later, as whoever ends it is in the middle of something. */
    queueMicrotask(() => {
      const errno = this.refused === undefined ? constants.errno.ECONNRESET : constants.errno.EPROTONOSUPPORT;
      for (const seq of this.#pending.keys()) this.#settle(seq, errno);
      this.#events.onClose();
    });
  }

  #request(code: number, a = 0, b = 0): Promise<void> {
    if (this.#closed || this.#pending.size >= MAX_PENDING) {
      return Promise.reject(failure(constants.errno.ENOTCONN));
    }
    const seq = (this.#seq = (this.#seq % 0x7fff_ffff) + 1);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(seq, constants.errno.ETIMEDOUT), TIMEOUT_MS);
      this.#pending.set(seq, { resolve, reject, timer });
      const errno = this.#link.send(request(code, seq, a, b));
      if (errno !== 0) this.#settle(seq, errno);
    });
  }

  #settle(seq: number, errno: number): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return;
    this.#pending.delete(seq);
    clearTimeout(pending.timer);
    if (errno === 0) pending.resolve();
    else pending.reject(failure(errno));
  }

  #receive(chunk: Buffer): void {
    for (const frame of this.#reader.push(chunk)) this.#dispatch(frame);
    if (this.#reader.error === undefined) return;
    this.refused = this.#reader.error;
    this.destroy();
  }

  #dispatch({ type, seq, error, payload }: Reply): void {
    if (type === reply.exit) {
      const exit = parseExit(payload.toString());
      if (exit !== undefined) this.#events.onExit(exit);
    } else if (type === reply.started || type === reply.status) {
      const status = parseStatus(payload.toString());
      if (status !== undefined) this.#events.onStatus(status);
    }
    if (seq !== 0) this.#settle(seq, error);
  }
}

const failure = (errno: number): NativeFailure =>
  new NativeFailure(nativeError("control", errno, "the supervisor did not carry out the request"));
