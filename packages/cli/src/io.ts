/**
 * Everything a verb may touch of the process it runs in: two output streams, standard input, the environment and the
 * wish to stop. Verbs take it as a parameter, so that tests read what a person would have read.
 */
import type { Readable } from "node:stream";
import { type Colors, createColors } from "./output/style.ts";

export interface Sink {
  /** Resolves when the reader keeps up again: a slow reader slows us down instead of filling memory. */
  readonly write: (data: string | Uint8Array) => Promise<void>;
  readonly isTty: boolean;
  /** Width of the terminal, or undefined when there is none (then nothing is cut). */
  readonly columns: () => number | undefined;
  readonly colors: Colors;
}

/** Where keys are pressed, or what is piped in; and the terminal's size. */
export interface Keyboard {
  readonly isTty: boolean;
  readonly bytes: () => Readable;
  /** Undefined without a terminal. */
  readonly size: () => { readonly columns: number; readonly rows: number } | undefined;
  readonly onResize: (listener: () => void) => () => void;
  /** Every key goes to the program, Ctrl-C too. Undone by `false`, and at the latest when this process ends. */
  readonly setRaw: (raw: boolean) => void;
  /** Lets go of standard input, so that the process can end. */
  readonly close: () => void;
}

export interface Io {
  /** Data. */
  readonly out: Sink;
  /** Talk: progress, hints, errors. */
  readonly err: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** All of standard input, or undefined when it is longer than `maxBytes`. */
  readonly readStdin: (maxBytes: number) => Promise<Buffer | undefined>;
  readonly keyboard: () => Keyboard;
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly stop: AbortSignal;
  /** Which signal it was that aborted `stop`. */
  readonly stoppedBy: () => NodeJS.Signals | undefined;
  /** Standard output leads nowhere any more. */
  readonly readerGone: () => boolean;
  readonly nowMs: () => number;
  /** How the reader calls this program: `berth`, or `npx berth` in a checkout. */
  readonly command: string;
}

/** Writes one line of talk. */
export const say = (io: Io, line: string): Promise<void> => io.err.write(`${line}\n`);

const sinkOf = (stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Sink => {
  const isTty = stream.isTTY === true;
  return {
    isTty,
    columns: () => (isTty ? stream.columns : undefined),
    colors: createColors(wantsColor(env, isTty)),
    write: (data) =>
      new Promise((resolve) => {
        // A reader that went away (`| head`) ends the program in processIo; a failed write has nobody to tell.
        if (stream.destroyed || stream.write(data)) {
          resolve();
          return;
        }
        const done = (): void => {
          stream.off("drain", done).off("close", done);
          resolve();
        };
        stream.on("drain", done).on("close", done);
      }),
  };
};

/** https://no-color.org: any value that is not empty switches colour off; FORCE_COLOR switches it on without a terminal. */
export const wantsColor = (env: Readonly<Record<string, string | undefined>>, isTty: boolean): boolean => {
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  const forced = env["FORCE_COLOR"] ?? "";
  if (forced !== "" && forced !== "0") return true;
  return isTty && env["TERM"] !== "dumb";
};

const readAll = async (stream: NodeJS.ReadStream, maxBytes: number): Promise<Buffer | undefined> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    const bytes = part as Buffer;
    size += bytes.length;
    if (size > maxBytes) return undefined;
    parts.push(bytes);
  }
  return Buffer.concat(parts);
};

const processKeyboard = (): Keyboard => {
  const { stdin, stdout } = process;
  const isTty = stdin.isTTY === true;
  return {
    isTty,
    bytes: () => stdin,
    size: () => (stdout.isTTY === true ? { columns: stdout.columns, rows: stdout.rows } : undefined),
    onResize: (listener) => {
      stdout.on("resize", listener);
      return () => void stdout.off("resize", listener);
    },
    setRaw: (raw) => {
      if (isTty) stdin.setRawMode(raw);
    },
    close: () => {
      stdin.pause();
      stdin.destroy();
    },
  };
};

/** npm passes Ctrl-C on to a program that the terminal has told already: one keypress is one wish. */
const ECHO_MS = 500;

/** The real process. `onSecondStop` is called when someone insists: the second signal. */
export const processIo = (onSecondStop: () => void): Io => {
  const controller = new AbortController();
  let firstAtMs = 0;
  let stoppedBy: NodeJS.Signals | undefined;
  let readerGone = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (!controller.signal.aborted) {
      firstAtMs = performance.now();
      stoppedBy = signal;
      controller.abort();
    } else if (performance.now() - firstAtMs > ECHO_MS) onSecondStop();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") return;
    // Nobody reads any more: as after Ctrl-C, in order, but with what a shell shows for a program that SIGPIPE ended.
    readerGone = true;
    controller.abort();
  });
  process.stderr.on("error", () => {});
  return {
    out: sinkOf(process.stdout, process.env),
    err: sinkOf(process.stderr, process.env),
    env: process.env,
    readStdin: (maxBytes) => readAll(process.stdin, maxBytes),
    keyboard: processKeyboard,
    stop: controller.signal,
    stoppedBy: () => stoppedBy,
    readerGone: () => readerGone,
    nowMs: () => Date.now(),
    command: process.env["npm_command"] === undefined ? "berth" : "npx berth",
  };
};
