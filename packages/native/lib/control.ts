/**
 * The agent's end of a supervisor's control socket (include/control.h): fixed-size requests, replies in order of their
 * sequence numbers, events in between. A supervisor that speaks anything else is disconnected.
 */
import type { Socket } from "node:net";
import { constants } from "node:os";
import { nativeError, NativeFailure } from "./errors.ts";
import { parseExit, parseStatus, type StatusRecord } from "./records.ts";
import type { ExitRecord } from "./types.ts";

const VERSION = 1;
const REQUEST_BYTES = 16;
const REPLY_BYTES = 16;
const MAX_PAYLOAD = 2048;
const MAX_PENDING = 64;
const TIMEOUT_MS = 5000;

const op = { status: 1, signal: 2, kill: 3, subscribe: 4 } as const;
const type = { done: 1, status: 2, started: 3, exit: 4 } as const;

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
  readonly #socket: Socket;
  readonly #events: ControlEvents;
  readonly #pending = new Map<number, Pending>();
  #seq = 0;
  #buffer: Buffer = Buffer.alloc(0);

  /** Takes over a connected socket. */
  constructor(socket: Socket, events: ControlEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    /* Every error is followed by "close", which says all that matters. */
    socket.on("error", () => undefined);
    socket.on("close", () => {
      for (const seq of this.#pending.keys()) this.#settle(seq, constants.errno.ECONNRESET);
      events.onClose();
    });
  }

  signal(signal: number): Promise<void> {
    return this.#request(op.signal, signal);
  }

  kill(): Promise<void> {
    return this.#request(op.kill, 0);
  }

  subscribe(): Promise<void> {
    return this.#request(op.subscribe, 0);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #request(code: number, argument: number): Promise<void> {
    if (this.#socket.destroyed || this.#pending.size >= MAX_PENDING) {
      return Promise.reject(failure(constants.errno.ENOTCONN));
    }
    const seq = (this.#seq = (this.#seq % 0x7fff_ffff) + 1);
    const frame = Buffer.alloc(REQUEST_BYTES);
    frame.writeUInt8(VERSION, 0);
    frame.writeUInt8(code, 1);
    frame.writeUInt32LE(seq, 4);
    frame.writeUInt32LE(argument, 8);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(seq, constants.errno.ETIMEDOUT), TIMEOUT_MS);
      this.#pending.set(seq, { resolve, reject, timer });
      this.#socket.write(frame);
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
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    while (this.#buffer.length >= REPLY_BYTES) {
      const length = this.#buffer.readUInt32LE(12);
      if (this.#buffer.readUInt8(0) !== VERSION || length > MAX_PAYLOAD) {
        this.#socket.destroy();
        return;
      }
      if (this.#buffer.length < REPLY_BYTES + length) return;
      const frame = this.#buffer.subarray(0, REPLY_BYTES + length);
      this.#buffer = this.#buffer.subarray(REPLY_BYTES + length);
      this.#dispatch(frame);
    }
  }

  #dispatch(frame: Buffer): void {
    const kind = frame.readUInt8(1);
    const seq = frame.readUInt32LE(4);
    const text = frame.toString("utf8", REPLY_BYTES);
    if (kind === type.exit) {
      const exit = parseExit(text);
      if (exit !== undefined) this.#events.onExit(exit);
    } else if (kind === type.started || kind === type.status) {
      const status = parseStatus(text);
      if (status !== undefined) this.#events.onStatus(status);
    }
    if (seq !== 0) this.#settle(seq, frame.readUInt32LE(8));
  }
}

const failure = (errno: number): NativeFailure =>
  new NativeFailure(nativeError("control", errno, "the supervisor did not carry out the request"));
