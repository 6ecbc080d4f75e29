/**
 * Sessions: another program in a running container, or what its own program writes and reads. Two carriers, one meaning:
 * between user and scheduler a WebSocket (bytes in binary frames, everything else in JSON text frames), between scheduler
 * and agent two subjects of the bus (binary frames with a sequence, since the bus may drop).
 *
 * Flow: each side may have SESSION_WINDOW_BYTES on the way that the other has not consumed yet; `credit` gives back what
 * was. Credits go from end to end, so whoever does not read stops the program's pipe, and nobody in between holds more
 * than a window.
 */
import Type, { type Static } from "#typebox";
import { ProblemSchema } from "./problem.ts";
import { MAX_CPU_MILLIS, MAX_MEMORY_BYTES, MAX_PIDS, MIN_CPU_MILLIS, MIN_MEMORY_BYTES } from "./resources.ts";

const strict = { additionalProperties: false } as const;

export const SESSION_WINDOW_BYTES = 256 * 1024;
export const SESSION_FRAME_BYTES = 32 * 1024;
/** The longest frame that a WebSocket takes: the request for a session with its command and environment. */
export const SESSION_REQUEST_BYTES = 64 * 1024;
export const SESSION_ALIVE_MS = 5_000;
/** Silence that ends a session. */
export const SESSION_DEATH_MS = 15_000;
/** How long a signed request to open a session may be on its way; clocks of hosts may differ by less. */
export const SESSION_OPEN_MS = 60_000;

/** A random id that only scheduler and agent know. */
export const SessionIdSchema = Type.String({ pattern: "^[0-9a-f]{32}$" });

export const TerminalSizeSchema = Type.Object(
  { columns: Type.Integer({ minimum: 1, maximum: 1000 }), rows: Type.Integer({ minimum: 1, maximum: 1000 }) },
  strict,
);

/** The runtime holds nobody to fewer. */
export const MIN_EXEC_PIDS = 2;

/** Of an executed program and all that it starts, beside those of its container, which hold all the same. */
export const ExecLimitsSchema = Type.Object(
  {
    cpuMillis: Type.Optional(Type.Integer({ minimum: MIN_CPU_MILLIS, maximum: MAX_CPU_MILLIS })),
    memoryBytes: Type.Optional(Type.Integer({ minimum: MIN_MEMORY_BYTES, maximum: MAX_MEMORY_BYTES })),
    pids: Type.Optional(Type.Integer({ minimum: MIN_EXEC_PIDS, maximum: MAX_PIDS })),
  },
  strict,
);
export type ExecLimits = Static<typeof ExecLimitsSchema>;

const noNul = "^[^\\u0000]*$";

export const SessionRequestSchema = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("exec"),
      command: Type.Array(Type.String({ maxLength: 65_536, pattern: noNul }), { minItems: 1, maxItems: 1024 }),
      env: Type.Optional(
        Type.Record(
          Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_]{0,127}$" }),
          Type.String({ maxLength: 32_768, pattern: noNul }),
          strict,
        ),
      ),
      workdir: Type.Optional(Type.String({ maxLength: 4096, pattern: "^/[^\\u0000]*$" })),
      user: Type.Optional(Type.String({ maxLength: 256, pattern: "^[^\\u0000]+$" })),
      /** With a terminal all output is `stdout`. */
      terminal: Type.Optional(TerminalSizeSchema),
      /** A host that cannot enforce one of them refuses. */
      limits: Type.Optional(ExecLimitsSchema),
      stdin: Type.Optional(Type.Boolean()),
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("attach"),
      stdin: Type.Optional(Type.Boolean()),
      /** So much of each stream that was written before comes first. Default 64 KiB. */
      scrollbackBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_048_576 })),
    },
    strict,
  ),
]);
export type SessionRequest = Static<typeof SessionRequestSchema>;

/** User → scheduler, JSON text. The first frame is `open`; bytes for standard input are binary frames. */
export const SessionControlSchema = Type.Union([
  Type.Object({ kind: Type.Literal("open"), request: SessionRequestSchema }, strict),
  Type.Object({ kind: Type.Literal("resize"), ...TerminalSizeSchema.properties }, strict),
  Type.Object({ kind: Type.Literal("signal"), signal: Type.Integer({ minimum: 1, maximum: 64 }) }, strict),
  /** Standard input ends; output goes on. */
  Type.Object({ kind: Type.Literal("eof") }, strict),
  Type.Object(
    { kind: Type.Literal("credit"), bytes: Type.Integer({ minimum: 1, maximum: SESSION_WINDOW_BYTES }) },
    strict,
  ),
]);
export type SessionControl = Static<typeof SessionControlSchema>;

/** How a session ended. `code` is what a shell would show; of `attach` it is 0 and says nothing of the program. */
export const SessionExitSchema = Type.Object(
  {
    code: Type.Integer({ minimum: 0, maximum: 255 }),
    signal: Type.Union([Type.Integer({ minimum: 1, maximum: 64 }), Type.Null()]),
    detail: Type.Union([Type.String({ maxLength: 1024 }), Type.Null()]),
  },
  strict,
);
export type SessionExit = Static<typeof SessionExitSchema>;

/** Scheduler → user, JSON text. Output is binary: one byte (SESSION_STDOUT or SESSION_STDERR), then the bytes. A problem ends it. */
export const SessionEventSchema = Type.Union([
  Type.Object({ kind: Type.Literal("opened"), terminal: Type.Boolean() }, strict),
  Type.Object(
    { kind: Type.Literal("credit"), bytes: Type.Integer({ minimum: 1, maximum: SESSION_WINDOW_BYTES }) },
    strict,
  ),
  Type.Object({ kind: Type.Literal("exit"), exit: SessionExitSchema }, strict),
  Type.Object({ kind: Type.Literal("problem"), problem: ProblemSchema }, strict),
]);
export type SessionEvent = Static<typeof SessionEventSchema>;

export const SESSION_STDOUT = 1;
export const SESSION_STDERR = 2;

/** The agent's answer to `open`: what follows comes on `st.<host>.<session>.out`. */
export const SessionOpenedSchema = Type.Object({ terminal: Type.Boolean() }, strict);

/** What a frame on the bus carries. Numbers are wire format. */
export const SessionFrame = {
  stdout: SESSION_STDOUT,
  stderr: SESSION_STDERR,
  stdin: 3,
  credit: 4,
  alive: 5,
  exit: 6,
  eof: 7,
  resize: 8,
  signal: 9,
  close: 10,
} as const;
export type SessionFrameType = (typeof SessionFrame)[keyof typeof SessionFrame];

const HEADER_BYTES = 5;
const known: ReadonlySet<number> = new Set(Object.values(SessionFrame));
const isFrameType = (type: number): type is SessionFrameType => known.has(type);

/** One byte type, four bytes sequence (big endian, from 0, per direction), payload. */
export const encodeSessionFrame = (type: SessionFrameType, sequence: number, payload: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame[0] = type;
  new DataView(frame.buffer).setUint32(1, sequence % 2 ** 32);
  frame.set(payload, HEADER_BYTES);
  return frame;
};

/** Undefined when it is none, is too long, or does not follow: then something was lost. */
export const decodeSessionFrame = (
  frame: Uint8Array,
  expected: number,
): { readonly type: SessionFrameType; readonly payload: Uint8Array } | undefined => {
  if (frame.length < HEADER_BYTES || frame.length > HEADER_BYTES + SESSION_FRAME_BYTES) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const type = view.getUint8(0);
  if (!isFrameType(type) || view.getUint32(1) !== expected % 2 ** 32) return undefined;
  return { type, payload: frame.subarray(HEADER_BYTES) };
};

/** Numbers of a frame, 32 bits each. */
export const sessionNumbers = (...values: readonly number[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  for (const [at, value] of values.entries()) view.setUint32(at * 4, value);
  return new Uint8Array(view.buffer);
};
export const readSessionNumber = (payload: Uint8Array, at: number): number | undefined =>
  payload.length < (at + 1) * 4
    ? undefined
    : new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(at * 4);
