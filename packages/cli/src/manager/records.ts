/**
 * What `berth up` has made, written down before it matters: which processes it started and which network it set up. A
 * start that follows a kill reads it and clears away what is left. Processes count only if they are the very same ones.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readJsonFile, writeWhole } from "./files.ts";
import { isAlive, parseProcessId, type ProcessId } from "./process-id.ts";

export interface Records {
  readonly remember: (name: string, process: ProcessId | undefined) => void;
  /** Ends what an earlier start has left running; resolves to the names of what it had to end. */
  readonly endLeftOvers: () => Promise<string[]>;
}

/** They see their standard input close and end by themselves: this long they may take. */
const OWN_WAY_MS = 8_000;
const KILL_MS = 5_000;
const STEP_MS = 50;

export const openRecords = (dataDir: string): Records => {
  const path = join(dataDir, "processes.json");
  const known = new Map<string, ProcessId>(readProcesses(path));
  const save = (): void => writeWhole(path, `${JSON.stringify(Object.fromEntries(known))}\n`);
  return {
    remember: (name, process) => {
      if (process === undefined) known.delete(name);
      else known.set(name, process);
      save();
    },
    endLeftOvers: async () => {
      const left = [...known].filter(([, process]) => isAlive(process));
      const stubborn: string[] = [];
      if (left.length > 0) await untilGone(left, OWN_WAY_MS);
      for (const signal of ["SIGTERM", "SIGKILL"] as const) {
        const still = left.filter(([, process]) => isAlive(process));
        for (const [name, process] of still) {
          if (!stubborn.includes(name)) stubborn.push(name);
          kill(process.pid, signal);
        }
        await untilGone(still, KILL_MS);
      }
      known.clear();
      save();
      return stubborn;
    },
  };
};

const untilGone = async (processes: readonly (readonly [string, ProcessId])[], mostMs: number): Promise<void> => {
  for (let waited = 0; waited < mostMs && processes.some(([, process]) => isAlive(process)); waited += STEP_MS) {
    await sleep(STEP_MS);
  }
};

const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone in between.
  }
};

const readProcesses = (path: string): [string, ProcessId][] => {
  const value = readJsonFile(path);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, entry]) => {
    const process = parseProcessId(entry);
    return process === undefined ? [] : [[name, process] as [string, ProcessId]];
  });
};
