/**
 * One life of the nats-server process: started, watched through its log, told to reload, stopped. It has a session of
 * its own, so that Ctrl-C in a terminal reaches the scheduler only, which then stops things in order. When the scheduler is
 * killed, the kernel ends it: setpriv(1) asks for that and becomes the server.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Logger } from "pino";
import type { BusRefusal } from "../../app/counters.ts";

export interface NatsChild {
  readonly pid: number;
  /** Resolves when the server accepts connections; rejects with its last words when it ends before. */
  readonly ready: Promise<void>;
  /** Resolves with a sentence when the process has ended. */
  readonly ended: Promise<string>;
  /** Reads its configuration again; rejects when the server refuses it or stays silent. */
  readonly reload: () => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly kill: () => void;
}

const START_MS = 30_000;
const RELOAD_MS = 10_000;
const STOP_MS = 10_000;

const withoutPrefix = (line: string): string => line.replace(/^\[\d+\] \S+ \S+ /, "");

/** What the server says of clients that overstep: `… Publish Violation - Nkey "U…", Subject "…"`. */
const refusalIn = (line: string): BusRefusal | undefined => {
  const kind = / (Publish|Subscription) Violation| (authentication error)/i.exec(line);
  if (kind === null) return undefined;
  if (kind[2] !== undefined) return "authentication";
  return kind[1]?.toLowerCase() === "publish" ? "publish" : "subscribe";
};

const watchLog = (child: ChildProcess, log: Logger, refused: Refused, onLine: (line: string) => void): void => {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (raw) => {
      const line = withoutPrefix(raw);
      const refusal = refusalIn(line);
      if (refusal !== undefined) refused(refusal, line);
      else if (/^\[(ERR|FTL)\]/.test(line)) log.warn({ line }, "nats_server_said");
      else log.debug({ line }, "nats_server_said");
      onLine(line);
    });
  }
};

/** Whoever oversteps may do so all the time: whoever is told decides how much of it is written down. */
export type Refused = (kind: BusRefusal, line: string) => void;

export const startChild = (binary: string, configPath: string, log: Logger, refused: Refused): NatsChild => {
  const words = ["--pdeathsig", "TERM", binary, "-c", configPath];
  const child = spawn("setpriv", words, { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const lastWords: string[] = [];
  let onReady = (): void => {};
  let onReload: ((outcome: string | undefined) => void) | undefined;
  watchLog(child, log, refused, (line) => {
    lastWords.push(line);
    if (lastWords.length > 5) lastWords.shift();
    if (line.includes("Server is ready")) onReady();
    if (line.includes("Reloaded server configuration")) onReload?.(undefined);
    if (line.includes("Failed to reload server configuration")) onReload?.(line);
  });

  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`nats-server could not be started: ${error.message}`));
    // `close` comes after the last line of its log was read, `exit` may come before.
    child.once("close", (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      resolve(`nats-server ended ${how}: ${lastWords.at(-1) ?? "it said nothing"}`);
    });
  });
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nats-server was not ready after ${START_MS / 1000} s`)), START_MS);
    onReady = () => {
      clearTimeout(timer);
      resolve();
    };
    void ended.then((sentence) => {
      clearTimeout(timer);
      reject(new Error(sentence));
    });
  });
  // Whoever does not wait for it must not be told by a crash.
  ready.catch(() => {});

  return {
    pid: child.pid ?? 0,
    ready,
    ended,
    reload: () =>
      new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => done("it did not say that it had reloaded"), RELOAD_MS);
        const done = (failure: string | undefined): void => {
          clearTimeout(timer);
          onReload = undefined;
          if (failure === undefined) resolve();
          else reject(new Error(`nats-server did not take its new configuration: ${failure}`));
        };
        onReload = done;
        void ended.then((sentence) => done(sentence));
        child.kill("SIGHUP");
      }),
    kill: () => void child.kill("SIGKILL"),
    stop: async () => {
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      child.kill("SIGTERM");
      await ended;
      clearTimeout(timer);
    },
  };
};
