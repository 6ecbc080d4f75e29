/** The files that a supervisor leaves in its state directory, read strictly: torn or foreign ones count as absent. */
import { open, readFile, rename } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { hasCode, nativeError } from "./errors.ts";
import type { ExitCause, ExitRecord, NativeError } from "./types.ts";

export interface StatusRecord {
  readonly state: "starting" | "running";
  readonly bootId: string;
  readonly supervisorPid: number;
  readonly initPid: number | null;
  readonly pid: number | null;
  readonly createdAtMs: number | null;
  readonly startedAtMs: number | null;
  /** What its supervisor understands, BERTH_CONTROL_LEVEL in include/control.h. */
  readonly controlLevel: number;
  readonly cgroupParent: string;
  /** What `stop` sends when it is not told. */
  readonly stopSignal: number;
}

type Fields = Readonly<Record<string, unknown>>;
const causes: readonly ExitCause[] = [
  "exited",
  "signalled",
  "oom",
  "start_failed",
  "supervisor_lost",
  "host_rebooted",
  "lease_ended",
];

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCountOrNull = (value: unknown): value is number | null => value === null || isCount(value);

const parseFields = (text: string): Fields | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) && value["version"] === 1 ? value : undefined;
  } catch {
    return undefined;
  }
};

const parseError = (value: unknown): NativeError | null | undefined => {
  if (value === null) return null;
  if (!isFields(value)) return undefined;
  const { stage, errno, detail } = value;
  return typeof stage === "string" && isCount(errno) && typeof detail === "string"
    ? nativeError(stage, errno, detail)
    : undefined;
};

export const parseExit = (text: string): ExitRecord | undefined => {
  const fields = parseFields(text);
  if (fields === undefined) return undefined;
  const { code, signal, oom, startedAtMs, finishedAtMs } = fields;
  const droppedBytes = fields["droppedBytes"] ?? 0;
  const createdAtMs = fields["createdAtMs"] ?? null;
  const error = parseError(fields["error"]);
  const cause = causes.find((known) => known === fields["cause"]);
  if (cause === undefined || error === undefined || typeof oom !== "boolean") return undefined;
  if (!isCount(code) || code > 255 || !isCountOrNull(signal) || !isCount(droppedBytes)) return undefined;
  if (!isCountOrNull(createdAtMs) || !isCountOrNull(startedAtMs) || !isCount(finishedAtMs)) return undefined;
  const cpuMicros = fields["cpuMicros"] ?? null;
  const peakMemoryBytes = fields["peakMemoryBytes"] ?? null;
  if (!isCountOrNull(cpuMicros) || !isCountOrNull(peakMemoryBytes)) return undefined;
  return {
    code,
    signal,
    oom,
    cause,
    error,
    createdAtMs,
    startedAtMs,
    finishedAtMs,
    droppedBytes,
    cpuMicros,
    peakMemoryBytes,
  };
};

export const parseStatus = (text: string): StatusRecord | undefined => {
  const fields = parseFields(text);
  if (fields === undefined) return undefined;
  const { state, bootId, supervisorPid, initPid, pid, startedAtMs, cgroupParent } = fields;
  const createdAtMs = fields["createdAtMs"] ?? null;
  const controlLevel = fields["controlLevel"] ?? 1;
  if (!isCountOrNull(createdAtMs) || !isCount(controlLevel)) return undefined;
  /* A supervisor of the version before this field may still be running. */
  const stopSignal = fields["stopSignal"] ?? constants.signals.SIGTERM;
  if ((state !== "starting" && state !== "running") || typeof bootId !== "string" || typeof cgroupParent !== "string")
    return undefined;
  if (!isCount(supervisorPid) || !isCountOrNull(initPid) || !isCountOrNull(pid) || !isCountOrNull(startedAtMs))
    return undefined;
  if (!isCount(stopSignal) || stopSignal < 1 || stopSignal > 64) return undefined;
  return {
    state,
    bootId,
    supervisorPid,
    initPid,
    pid,
    createdAtMs,
    startedAtMs,
    controlLevel,
    cgroupParent,
    stopSignal,
  };
};

/** The file's text, or undefined when there is none. */
export const readRecord = async (directory: string, name: "status" | "exit"): Promise<string | undefined> => {
  try {
    return await readFile(join(directory, name), "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    throw cause;
  }
};

/** Writes the exit of a container whose supervisor can no longer do it, and waits for the disk. */
export const writeExit = async (directory: string, record: ExitRecord): Promise<void> => {
  const temporary = join(directory, "exit.tmp");
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ version: 1, ...record })}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, "exit"));
};
