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

export const logOf = (spec: ContainerSpec, defaults: LogLimits): Required<LogLimits> => {
  const own = spec.log === undefined ? {} : fields("log", spec.log, ["maxBytes", "files", "bytesPerSecond", "beyond"]);
  const given: Readonly<Record<keyof LogLimits, unknown>> = { ...DEFAULT_LOG, ...defaults, ...own };
  const rate = given.bytesPerSecond;
  return {
    maxBytes:
      given.maxBytes === 0 ? 0 : whole(LEAST_LOG_BYTES, Number.MAX_SAFE_INTEGER)("log.maxBytes", given.maxBytes),
    files: whole(2, 64)("log.files", given.files),
    bytesPerSecond: rate === null ? null : whole(4096, MAX_LOG_RATE)("log.bytesPerSecond", rate),
    beyond: oneOf(["discard", "wait"])("log.beyond", given.beyond),
  };
};

export const stdioBits = (spec: ContainerSpec, log: Required<LogLimits>): number => {
  if (spec.terminal !== undefined && spec.stdin !== undefined) refuse("stdin", "a terminal has its own");
  const stdin = optional("stdin", spec.stdin, oneOf(["null", "pipe"]), "null");
  return (
    (stdin === "pipe" ? STDIO.pipe : 0) |
    (spec.terminal === undefined ? 0 : STDIO.terminal) |
    (log.beyond === "wait" ? STDIO.logWaits : 0)
  );
};

export const terminalWord = (spec: ContainerSpec): number => {
  if (spec.terminal === undefined) return 0;
  const { rows, columns } = fields("terminal", spec.terminal, ["rows", "columns"]);
  const side = whole(1, 65_535);
  return side("terminal.rows", rows) * 65_536 + side("terminal.columns", columns);
};

const isSide = (value: number): boolean => Number.isSafeInteger(value) && value >= 1 && value <= 65_535;
export const isTerminalSize = ({ rows, columns }: TerminalSize): boolean => isSide(rows) && isSide(columns);
