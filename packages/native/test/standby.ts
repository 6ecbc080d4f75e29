/** Finds supervisors on standby. Told apart by their state directory and by their command line. */
import { readFileSync, readlinkSync } from "node:fs";
import { processesWith } from "./host.ts";

export const parentOf = (pid: number): number => {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return 0;
  }
};

/** Of all that wait on this machine: those whose state is in this directory. One that makes namespaces has a child. */
export const waiting = (stateDir: string): number[] => {
  const found = processesWith("--standby").filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/4`).startsWith(`${stateDir}/`);
    } catch {
      return false;
    }
  });
  return found.filter((pid) => !found.includes(parentOf(pid)));
};

/** The process that stands in the namespaces which were made early. */
export const stemOf = (pid: number): number => {
  const found = processesWith("--standby").filter((other) => parentOf(other) === pid);
  if (found.length !== 1) throw new Error(`${pid} has ${found.length} children`);
  return found[0]!;
};

export const mountsOf = (pid: number): string[] => readFileSync(`/proc/${pid}/mountinfo`, "utf8").trim().split("\n");

/** Those that have made what they make: nothing of the host is mounted there any more. */
export const ready = (stateDir: string): number[] =>
  waiting(stateDir).filter((pid) => {
    try {
      return mountsOf(stemOf(pid)).some((line) => /^\S+ \S+ \S+ \S+ \/ .* - tmpfs /.test(line));
    } catch {
      return false;
    }
  });

export const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);

/** Init has everything but the program, and waits for a word of its supervisor. */
export const isSetUp = (init: number): boolean => {
  const status = readFileSync(`/proc/${init}/status`, "utf8");
  return /^State:\tS/m.test(status) && /^Seccomp:\t2$/m.test(status);
};
