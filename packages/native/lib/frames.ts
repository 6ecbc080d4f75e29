/**
 * The framing of the control socket (include/control.h), both directions. Whoever speaks another version is told apart
 * from whoever speaks nonsense: the first can be named to an operator.
 */
import type { TerminalSize } from "./types.ts";

export const CONTROL_VERSION = 1;
export const REQUEST_BYTES = 16;
const REPLY_BYTES = 16;
const MAX_PAYLOAD = 65_536;

export const op = {
  status: 1,
  signal: 2,
  kill: 3,
  subscribe: 4,
  attach: 5,
  input: 6,
  closeInput: 7,
  resize: 8,
  exec: 9,
  renew: 10,
} as const;

export const reply = {
  done: 1,
  status: 2,
  started: 3,
  exit: 4,
  attached: 5,
  output: 6,
  execStarted: 7,
  execExit: 8,
  refused: 9,
} as const;

export interface Reply {
  readonly type: number;
  readonly seq: number;
  readonly error: number;
  readonly payload: Buffer;
}

export const request = (code: number, seq: number, a = 0, b = 0): Buffer => {
  const frame = Buffer.alloc(REQUEST_BYTES);
  frame.writeUInt8(CONTROL_VERSION, 0);
  frame.writeUInt8(code, 1);
  frame.writeUInt32LE(seq, 4);
  frame.writeUInt32LE(a, 8);
  frame.writeUInt32LE(b, 12);
  return frame;
};

export const sizeWord = ({ rows, columns }: TerminalSize): number => rows * 65_536 + columns;

/** Why nothing more can be read from a connection. */
export type FramingError = { readonly kind: "version"; readonly spoken: number } | { readonly kind: "garbled" };

/** Cuts what arrives into replies. After an error it yields nothing any more. */
export class ReplyReader {
  #parts: Buffer[] = [];
  #size = 0;
  error: FramingError | undefined;

  push(chunk: Buffer): readonly Reply[] {
    const replies: Reply[] = [];
    this.#parts.push(chunk);
    this.#size += chunk.length;
    while (this.error === undefined && this.#size >= REPLY_BYTES) {
      const head = this.#peek(REPLY_BYTES);
      const version = head.readUInt8(0);
      const type = head.readUInt8(1);
      const length = head.readUInt32LE(12);
      if (version !== CONTROL_VERSION || type === reply.refused) this.error = { kind: "version", spoken: version };
      else if (length > MAX_PAYLOAD) this.error = { kind: "garbled" };
      if (this.error !== undefined || this.#size < REPLY_BYTES + length) break;
      const frame = this.#take(REPLY_BYTES + length);
      const payload = frame.subarray(REPLY_BYTES);
      replies.push({ type, seq: frame.readUInt32LE(4), error: frame.readUInt32LE(8), payload });
    }
    return replies;
  }

  /** The first bytes in one piece; joins no more than it must. */
  #peek(length: number): Buffer {
    const [first] = this.#parts;
    if (first !== undefined && first.length >= length) return first;
    const joined = Buffer.concat(this.#parts);
    this.#parts = [joined];
    return joined;
  }

  #take(length: number): Buffer {
    const bytes = this.#peek(length);
    this.#parts[0] = bytes.subarray(length);
    if (this.#parts[0].length === 0) this.#parts.shift();
    this.#size -= length;
    return bytes.subarray(0, length);
  }
}
