/** An Io that remembers what a person would have read. Columns and colours as the test wants them. */
import { Readable } from "node:stream";
import type { Io, Sink } from "../io.ts";
import { createColors } from "../output/style.ts";

export interface FakeIo extends Io {
  readonly text: () => string;
  readonly errText: () => string;
  readonly interrupt: () => void;
}

const memorySink = (columns: number | undefined, isTty: boolean): Sink & { readonly text: () => string } => {
  const parts: Buffer[] = [];
  return {
    isTty,
    columns: () => columns,
    colors: createColors(false),
    write: async (data) => {
      parts.push(Buffer.from(data));
    },
    text: () => Buffer.concat(parts).toString("utf8"),
  };
};

export const fakeIo = (
  options: {
    readonly columns?: number;
    readonly tty?: boolean;
    readonly env?: Readonly<Record<string, string>>;
    readonly stdin?: string;
    readonly nowMs?: number;
  } = {},
): FakeIo => {
  const out = memorySink(options.columns, options.tty ?? false);
  const err = memorySink(options.columns, options.tty ?? false);
  const stop = new AbortController();
  return {
    out,
    err,
    env: options.env ?? {},
    stop: stop.signal,
    stoppedBy: () => (stop.signal.aborted ? "SIGINT" : undefined),
    readerGone: () => false,
    nowMs: () => options.nowMs ?? 1_000_000,
    command: "berth",
    readStdin: async (maxBytes) => {
      const bytes = Buffer.from(options.stdin ?? "");
      return bytes.length > maxBytes ? undefined : bytes;
    },
    keyboard: () => ({
      isTty: false,
      bytes: () => Readable.from([Buffer.from(options.stdin ?? "")]),
      size: () => undefined,
      onResize: () => () => undefined,
      setRaw: () => undefined,
      close: () => undefined,
    }),
    text: out.text,
    errText: err.text,
    interrupt: () => stop.abort(),
  };
};
