/** The log files of child processes: bounded by rotation when a process starts, and read only when something failed. */
import { closeSync, fstatSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { plainLine } from "../output/style.ts";

/** Two of these per process: the present one and the one before. */
const MAX_BYTES = 8 * 2 ** 20;
const TAIL_BYTES = 64 * 1024;

/** Opens for appending; a file that has grown large becomes `NAME.1` first. */
export const openLog = (path: string): number => {
  try {
    if (statSync(path).size > MAX_BYTES) renameSync(path, `${path}.1`);
  } catch {
    // There is none yet.
  }
  return openSync(path, "a", 0o600);
};

/** Size now: what is written from here on belongs to the next start. */
export const logSize = (fd: number): number => fstatSync(fd).size;

/** The last lines from `offset` on, as a person reads them: at most `most`, warnings and errors first in line. */
export const readTail = (path: string, offset: number, most: number): string[] => {
  let text: string;
  try {
    const fd = openSync(path, "r");
    try {
      const size = fstatSync(fd).size;
      const from = Math.max(offset > size ? 0 : offset, size - TAIL_BYTES);
      const buffer = Buffer.alloc(Math.max(0, size - from));
      readSync(fd, buffer, 0, buffer.length, from);
      text = buffer.toString("utf8");
    } finally {
      closeSync(fd);
    }
  } catch {
    return [];
  }
  return tailOf(text, most);
};

interface LogLine {
  readonly level: number;
  readonly text: string;
}

const WARN = 40;

/** JSON lines become their message; what is not JSON (a stack trace, a library's words) counts as an error. */
export const tailOf = (text: string, most: number): string[] => {
  const lines = text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(parseLine);
  const grave = lines.filter((line) => line.level >= WARN);
  return (grave.length > 0 ? grave : lines).slice(-most).map((line) => plainLine(line.text).slice(0, 500));
};

const LEVELS: Readonly<Record<string, number>> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 };

const parseLine = (line: string): LogLine => {
  try {
    const value = JSON.parse(line) as Record<string, unknown> | null;
    if (typeof value !== "object" || value === null) return { level: WARN, text: line };
    const given = value["level"];
    const level = typeof given === "number" ? given : (LEVELS[String(given)] ?? WARN);
    const text = value["msg"] ?? value["event"];
    const message = typeof text === "string" ? text : line;
    const error = value["err"] ?? value["error"];
    const why =
      typeof error === "string"
        ? error
        : typeof error === "object" && error !== null
          ? (error as { message?: unknown }).message
          : undefined;
    return { level, text: typeof why === "string" && !message.includes(why) ? `${message}: ${why}` : message };
  } catch {
    return { level: WARN, text: line };
  }
};
