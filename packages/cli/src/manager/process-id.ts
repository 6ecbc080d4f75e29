/** Telling a process from another one that got its pid later: by the time it was started, and by the boot it lives in. */
import { readFileSync } from "node:fs";

export interface ProcessId {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: ticks since boot. */
  readonly startTicks: number;
  readonly bootId: string;
}

/** The identity of a living process (a zombie is not), or undefined. */
export const identify = (pid: number): ProcessId | undefined => {
  try {
    const found = parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
    return found === undefined ? undefined : { pid, startTicks: found, bootId: bootId() };
  } catch {
    return undefined;
  }
};

export const isAlive = (id: ProcessId): boolean => {
  const now = identify(id.pid);
  return now !== undefined && now.startTicks === id.startTicks && now.bootId === id.bootId;
};

const bootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** The name in parentheses may hold anything, blanks and parentheses too: fields count from the last one. */
export const parseStat = (text: string): number | undefined => {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  const ticks = Number(fields[19]);
  return state === undefined || state === "Z" || state === "X" || !Number.isSafeInteger(ticks) ? undefined : ticks;
};

export const parseProcessId = (value: unknown): ProcessId | undefined => {
  const id = value as Partial<ProcessId> | null;
  if (typeof id !== "object" || id === null) return undefined;
  const { pid, startTicks, bootId: boot } = id;
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(startTicks) || typeof boot !== "string") return undefined;
  return { pid: pid as number, startTicks: startTicks as number, bootId: boot };
};
