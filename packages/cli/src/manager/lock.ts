/**
 * One `berth up` per data directory. The lock is flock(2) on a file, so the kernel releases it however the process ends;
 * beside it lies a note of who holds it, for messages and for `berth down`. The note alone decides nothing: it counts
 * only while its process lives.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Exit, Failure } from "../failure.ts";
import { readJsonFile, writeWhole } from "./files.ts";
import { identify, isAlive, parseProcessId, type ProcessId } from "./process-id.ts";

export interface Holder {
  readonly process: ProcessId;
  readonly apiPort: number;
  readonly natsPort: number;
}

export interface Lock {
  readonly note: (ports: { readonly apiPort: number; readonly natsPort: number }) => void;
  readonly release: () => void;
}

const lockPath = (dataDir: string): string => join(dataDir, "up.lock");
const notePath = (dataDir: string): string => join(dataDir, "up.json");
const downPath = (dataDir: string): string => join(dataDir, "down.json");

/** What a living process has left there about itself. */
const readNote = (path: string): { readonly [key: string]: unknown; readonly process: ProcessId } | undefined => {
  const value = readJsonFile(path) as Readonly<Record<string, unknown>> | null | undefined;
  const process = parseProcessId(value?.["process"]);
  return process !== undefined && isAlive(process) ? { ...value, process } : undefined;
};

/** The living `berth up` of a data directory. */
export const readHolder = (dataDir: string): Holder | undefined => {
  const note = readNote(notePath(dataDir));
  if (note === undefined) return undefined;
  const { process, apiPort, natsPort } = note;
  return typeof apiPort === "number" && typeof natsPort === "number" ? { process, apiPort, natsPort } : undefined;
};

/** `berth down` leaves a note that it waits for the end of `berth up`, whose last words are then not about what goes on. */
export const announceDown = (dataDir: string): (() => void) => {
  try {
    writeWhole(downPath(dataDir), `${JSON.stringify({ process: identify(process.pid) })}\n`);
  } catch {
    // A full disk costs the words only, not the stop.
  }
  return () => rmSync(downPath(dataDir), { force: true });
};

export const isDownWaiting = (dataDir: string): boolean => readNote(downPath(dataDir)) !== undefined;

export const acquireLock = (dataDir: string): Lock => {
  let fd: number;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o711 });
    fd = openSync(lockPath(dataDir), "a", 0o600);
  } catch (error) {
    throw new Failure(`Cannot use the data directory ${dataDir}`, {
      exit: Exit.unavailable,
      detail: error instanceof Error ? error.message : String(error),
      next: ["another directory: berth up --data-dir DIR"],
      cause: error,
    });
  }
  // flock(1) locks the open file it inherits as descriptor 3; the lock belongs to that open file, which stays ours.
  const { status, error } = spawnSync("flock", ["--nonblock", "3"], { stdio: ["ignore", "ignore", "ignore", fd] });
  if (status !== 0) {
    closeSync(fd);
    throw error === undefined ? isTaken(dataDir) : noFlock(error);
  }
  const own = identify(process.pid);
  return {
    note: (ports) => writeWhole(notePath(dataDir), `${JSON.stringify({ process: own, ...ports })}\n`),
    release: () => {
      rmSync(notePath(dataDir), { force: true });
      closeSync(fd);
    },
  };
};

const isTaken = (dataDir: string): Failure => {
  const holder = readHolder(dataDir);
  const who = holder === undefined ? "another `berth up`" : `\`berth up\` with pid ${holder.process.pid}`;
  return new Failure("Berth is running already", {
    exit: Exit.unavailable,
    detail: `${who} uses ${dataDir}`,
    next: [
      "berth hosts       (what it consists of)",
      "berth down        (stops it and its containers)",
      "berth up --data-dir DIR --api-port PORT --nats-port PORT     (a second one beside it)",
    ],
  });
};

const noFlock = (cause: Error): Failure =>
  new Failure("The program flock is missing", {
    exit: Exit.unavailable,
    detail: "it keeps two starts apart",
    next: ["apt-get install util-linux"],
    cause,
  });
