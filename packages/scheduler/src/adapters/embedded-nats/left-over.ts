/**
 * Finds servers that an earlier scheduler of this data directory left running (it was killed), and stops them by pid:
 * two servers on one store would destroy it. A process counts only when its program is a nats-server and its command
 * line names our configuration file; a recycled pid never does.
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StartupProblem } from "../../ports/startup-problem.ts";
import { readIfThere } from "../files/atomic.ts";

const isOurs = async (pid: number, configPath: string): Promise<boolean> => {
  try {
    const program = basename((await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, ""));
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    const at = words.indexOf("-c");
    return program.startsWith("nats-server") && at > 0 && words[at + 1] === configPath;
  } catch {
    return false;
  }
};

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
};

const stopOne = async (pid: number, configPath: string): Promise<void> => {
  for (const [name, patienceMs] of [
    ["SIGTERM", 10_000],
    ["SIGKILL", 5_000],
  ] as const) {
    signal(pid, name);
    for (let waited = 0; waited < patienceMs; waited += 50) {
      if (!(await isOurs(pid, configPath))) return;
      await delay(50);
    }
  }
  throw new StartupProblem(`nats-server ${pid} of an earlier start does not end; end it by hand`);
};

/** The pid file names the usual case; the scan finds a server whose scheduler died before the file was written. */
const candidates = async (pidFile: string): Promise<number[]> => {
  const named = Number.parseInt((await readIfThere(pidFile)) ?? "", 10);
  const all = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  return [...new Set([...(Number.isSafeInteger(named) && named > 1 ? [named] : []), ...all])];
};

/** Resolves with the pids that were stopped. */
export const stopLeftOvers = async (configPath: string, pidFile: string): Promise<number[]> => {
  const stopped: number[] = [];
  for (const pid of await candidates(pidFile)) {
    if (!(await isOurs(pid, configPath))) continue;
    await stopOne(pid, configPath);
    stopped.push(pid);
  }
  return stopped;
};
