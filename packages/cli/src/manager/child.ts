/**
 * One process that is kept running:
 *
 *   starting → ready → (dies) → waiting → starting …        stop() ends it from any state
 *
 * The first start must succeed, or `start` rejects with what the process said; from then on a death is answered by
 * another start, after a growing pause. The process gets a standard input that never speaks and closes with us, however
 * we end, so that it can end too; it is in a session of its own, so that Ctrl-C reaches it only through stop().
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createInterface } from "node:readline";
import { Exit, Failure } from "../failure.ts";
import { backoffMs, countDeath } from "./backoff.ts";
import { logSize, openLog, readTail } from "./log-files.ts";
import { identify, type ProcessId } from "./process-id.ts";

export interface ChildSpec {
  /** `scheduler`, `host local`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  readonly readyTimeoutMs: number;
}

/** What the process says of itself in one line of JSON when it is ready. */
export type ReadyLine = Readonly<Record<string, unknown>>;

export interface ChildEvents {
  /** A process exists, or the one that did is gone: to be remembered, in case we are killed. */
  readonly onProcess: (process: ProcessId | undefined) => void;
  /** It died after it had been ready, and comes again after `waitMs`. */
  readonly onDeath: (why: string, waitMs: number) => void;
  readonly onReadyAgain: () => void;
}

export interface Child {
  /** Asks it to end, and ends it after `graceMs`. */
  readonly stop: (graceMs: number) => Promise<void>;
}

const TAIL_LINES = 8;

interface Running {
  readonly process: ChildProcess;
  readonly startedAtMs: number;
  readonly logOffset: number;
  readonly exited: Promise<string>;
  readonly ready: Promise<ReadyLine>;
}

export const startChild = async (
  spec: ChildSpec,
  events: ChildEvents,
): Promise<{ readonly child: Child; readonly info: ReadyLine }> => {
  const stopping = new AbortController();
  let current = launch(spec, events);
  let info: ReadyLine;
  try {
    info = await becomeReady(spec, current);
  } catch (error) {
    await end(current, 2_000);
    throw error;
  }
  const supervise = async (): Promise<void> => {
    let deaths = 0;
    for (;;) {
      const why = await current.exited;
      if (stopping.signal.aborted) return;
      deaths = countDeath(deaths, performance.now() - current.startedAtMs);
      const waitMs = backoffMs(deaths);
      events.onDeath(why, waitMs);
      await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      current = launch(spec, events);
      current.ready.then(events.onReadyAgain, () => undefined);
    }
  };
  const supervised = supervise();
  return {
    info,
    child: {
      stop: async (graceMs) => {
        stopping.abort();
        await end(current, graceMs);
        await supervised;
      },
    },
  };
};

const launch = (spec: ChildSpec, events: ChildEvents): Running => {
  const log = openLog(spec.logFile);
  const logOffset = logSize(log);
  const child = spawn(spec.command, spec.args, {
    stdio: ["pipe", "pipe", log],
    detached: true,
    env: { ...spec.env } as NodeJS.ProcessEnv,
  });
  closeSync(log);
  const startedAtMs = performance.now();
  // Its end closes the pipe from the other side; that is no error of ours.
  child.stdin?.on("error", () => undefined);
  const id = child.pid === undefined ? undefined : identify(child.pid);
  if (id !== undefined) events.onProcess(id);
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => {
      events.onProcess(undefined);
      resolve(signal === null ? endedBecause(spec.logFile, logOffset, code ?? 0) : `was ended by ${signal}`);
    });
  });
  const ready = firstLine(child).then(parseReady);
  // Whoever does not wait for it must not be told by an unhandled rejection.
  ready.catch(() => undefined);
  return { process: child, startedAtMs, logOffset, exited, ready };
};

/** Who is killed has nothing to say; who gave up has said why last. */
const endedBecause = (logFile: string, offset: number, code: number): string => {
  const said = readTail(logFile, offset, 1)[0];
  return said === undefined ? `ended with code ${code}` : `ended with code ${code}: ${said}`;
};

class NoLine extends Error {}

/** The first line of its standard output; what follows is read and forgotten, so that it never blocks on us. */
const firstLine = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    if (child.stdout === null) {
      reject(new NoLine());
      return;
    }
    const lines = createInterface({ input: child.stdout });
    lines.once("line", resolve);
    lines.once("close", () => reject(new NoLine()));
  });

const parseReady = (line: string): ReadyLine => {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`it said "${line.slice(0, 200)}" instead of being ready`);
  }
  const info = value as ReadyLine | null;
  if (typeof info !== "object" || info === null || info["ready"] !== true) throw new Error("it did not become ready");
  return info;
};

const becomeReady = async (spec: ChildSpec, running: Running): Promise<ReadyLine> => {
  const timer = new AbortController();
  const late = sleep(spec.readyTimeoutMs, undefined, { signal: timer.signal }).then(
    () => {
      throw new Error(`it was not ready within ${Math.round(spec.readyTimeoutMs / 1000)}s`);
    },
    () => new Promise<never>(() => undefined),
  );
  const died = running.exited.then((why): never => {
    throw new Error(`it ${why}`);
  });
  try {
    // Without a first line it is dead, or as good as dead: how it died says more.
    const ready = running.ready.catch((error: unknown) =>
      error instanceof NoLine ? died : Promise.reject(error as Error),
    );
    return await Promise.race([ready, died, late]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const said = readTail(spec.logFile, running.logOffset, TAIL_LINES).filter((line) => !why.includes(line));
    throw new Failure(`${spec.name} did not start`, {
      exit: Exit.unavailable,
      detail: [why, ...said].join("\n"),
      next: ["berth doctor      (what is missing on this machine)", `less ${spec.logFile}`],
      cause: error,
    });
  } finally {
    timer.abort();
  }
};

const end = async (running: Running, graceMs: number): Promise<void> => {
  const { process: child, exited } = running;
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill("SIGTERM");
  const timer = new AbortController();
  const patience = sleep(graceMs, "late" as const, { signal: timer.signal }).catch(() => "done" as const);
  const first = await Promise.race([exited, patience]);
  timer.abort();
  if (first === "late") {
    child.kill("SIGKILL");
    await exited;
  }
};
