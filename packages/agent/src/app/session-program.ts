/** What a session is about, as one shape: a program that was executed in a container, or the container's own. */
import { constants } from "node:os";
import { Readable, Writable } from "node:stream";
import {
  err,
  ok,
  problem,
  type ExecLimits,
  type Problem,
  type Result,
  type SessionExit,
  type SessionRequest,
} from "@berth/schema";
import type { ExitRecord, RuntimeError } from "../core/container.ts";
import { describeError } from "../core/exit.ts";
import type { Container, ExecSpec, TerminalSize } from "../ports/runtime.ts";

export interface SessionProgram {
  readonly terminal: boolean;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Never rejects. */
  readonly exited: Promise<SessionExit>;
  readonly resize: (size: TerminalSize) => Promise<void>;
  readonly signal: (signal: number) => Promise<void>;
  /** Tells the program that nobody is there any more, and kills it after a delay (`later`) if it is still there. */
  readonly hangUp: (later: (run: () => void) => void) => Promise<void>;
  readonly close: () => void;
}

const OUT_OF_MEMORY = "killed: it needed more memory than it, or its container, may have";

const exitOf = ({ code, signal, cause, error }: ExitRecord): SessionExit => ({
  code,
  signal,
  detail: error !== null ? describeError(error) : cause === "oom" ? OUT_OF_MEMORY : null,
});

const limitsOf = ({ cpuMillis, ...rest }: ExecLimits): Pick<ExecSpec, "limits"> => {
  const limits = { ...rest, ...(cpuMillis === undefined ? {} : { cpuLimitMillis: cpuMillis }) };
  return Object.keys(limits).length === 0 ? {} : { limits };
};

/** A container's supervisor is as old as the container, and may not know what is asked of it. */
export const isTooOld = (error: unknown): error is Error =>
  error instanceof Error && "error" in error && (error.error as Partial<RuntimeError>).code === "ENOSYS";

/** One that could not be started: over before it began, and its exit says why. */
const neverStarted = (exit: SessionExit): SessionProgram => ({
  terminal: false,
  stdin: new Writable({ write: (_chunk, _encoding, done) => done() }),
  stdout: Readable.from([]),
  stderr: Readable.from([]),
  exited: Promise.resolve(exit),
  resize: () => Promise.resolve(),
  signal: () => Promise.resolve(),
  hangUp: () => Promise.resolve(),
  close: () => undefined,
});

/** A problem when the request makes no sense; rejects when the container cannot be asked. */
export const openProgram = async (
  container: Container,
  request: SessionRequest,
): Promise<Result<SessionProgram, Problem>> => {
  if (request.kind === "attach") {
    const { scrollbackBytes } = request;
    const attached = await container.attach(scrollbackBytes === undefined ? {} : { scrollbackBytes });
    return ok({
      ...attached,
      // Who only watches must not end the input of a program that others feed.
      stdin: request.stdin === true ? attached.stdin : new Writable({ write: (_chunk, _encoding, done) => done() }),
      exited: attached.closed.then((end) => ({
        code: end === "dropped" ? 1 : 0,
        signal: null,
        detail: end === "dropped" ? "the output came faster than it was read" : null,
      })),
      resize: (size) => attached.resize(size),
      signal: () => Promise.resolve(),
      hangUp: () => {
        attached.detach();
        return Promise.resolve();
      },
      close: () => attached.detach(),
    });
  }
  const { command, env, workdir, user, terminal, stdin, limits } = request;
  const started = await container.exec({
    command,
    ...(env === undefined ? {} : { env }),
    ...(workdir === undefined ? {} : { workdir }),
    ...(user === undefined ? {} : { user }),
    ...(limits === undefined ? {} : limitsOf(limits)),
    // A terminal is standard input by itself.
    ...(terminal === undefined ? { stdin: stdin === true ? "pipe" : "null" } : { terminal }),
  });
  if (!started.ok) {
    if (started.error.stage === "spec") return err(problem("request.invalid", started.error.detail));
    return ok(neverStarted(exitOf(started.exit)));
  }
  const program = started.value;
  let ended = false;
  const exited = program.exited.then((record) => {
    ended = true;
    return exitOf(record);
  });
  return ok({
    terminal: program.terminal,
    stdin: program.stdin,
    stdout: program.stdout,
    stderr: program.stderr,
    exited,
    resize: (size) => program.resize(size),
    signal: (signal) => program.signal(signal),
    hangUp: async (later) => {
      if (ended) return program.close();
      later(() => program.close());
      await program.signal(constants.signals.SIGHUP).catch(() => program.close());
    },
    close: () => program.close(),
  });
};
