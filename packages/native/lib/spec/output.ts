/** What becomes of the program's input and output: its log, a pipe, a terminal. */
import { fields, oneOf, optional, refuse, whole } from "./check.ts";
import type { ContainerSpec, LogLimits, TerminalSize } from "../types.ts";

const STDIO = { pipe: 1, terminal: 2, logWaits: 4 } as const;
const DEFAULT_LOG = {
  maxBytes: 64 * 1024 * 1024,
  files: 4,
  bytesPerSecond: 16 * 1024 * 1024,
  beyond: "discard",
} as const;
const LEAST_LOG_BYTES = 128 * 1024;
const MAX_LOG_RATE = 2 ** 40;

const LOG_KEYS = Object.keys(DEFAULT_LOG) as (keyof LogLimits)[];
const maxBytes = whole(LEAST_LOG_BYTES, Number.MAX_SAFE_INTEGER);
const files = whole(2, 64);
const bytesPerSecond = whole(4096, MAX_LOG_RATE);
const beyond = oneOf(["discard", "wait"]);

export const logOf = (spec: ContainerSpec, defaults: LogLimits): Required<LogLimits> => {
  const own = spec.log === undefined ? undefined : fields("log", spec.log, LOG_KEYS);
  const given: Readonly<Record<keyof LogLimits, unknown>> = { ...DEFAULT_LOG, ...defaults, ...own };
  const rate = given.bytesPerSecond;
  return {
    maxBytes: given.maxBytes === 0 ? 0 : maxBytes("log.maxBytes", given.maxBytes),
    files: files("log.files", given.files),
    bytesPerSecond: rate === null ? null : bytesPerSecond("log.bytesPerSecond", rate),
    beyond: beyond("log.beyond", given.beyond),
  };
};

const input = oneOf(["null", "pipe"]);

export const stdioBits = (spec: ContainerSpec, log: Required<LogLimits>): number => {
  if (spec.terminal !== undefined && spec.stdin !== undefined) refuse("stdin", "a terminal has its own");
  const stdin = optional("stdin", spec.stdin, input, "null");
  return (
    (stdin === "pipe" ? STDIO.pipe : 0) |
    (spec.terminal === undefined ? 0 : STDIO.terminal) |
    (log.beyond === "wait" ? STDIO.logWaits : 0)
  );
};

const side = whole(1, 65_535);

export const terminalWord = (spec: ContainerSpec): number => {
  if (spec.terminal === undefined) return 0;
  const { rows, columns } = fields("terminal", spec.terminal, ["rows", "columns"]);
  return side("terminal.rows", rows) * 65_536 + side("terminal.columns", columns);
};

const isSide = (value: number): boolean => Number.isSafeInteger(value) && value >= 1 && value <= 65_535;
export const isTerminalSize = ({ rows, columns }: TerminalSize): boolean => isSide(rows) && isSide(columns);
