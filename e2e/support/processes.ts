/** What runs on this machine, read from /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: readonly string[];
  readonly cgroups: string;
}

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

const readProcess = (pid: number): Process | undefined => {
  const stat = read(`/proc/${pid}/stat`);
  const command = read(`/proc/${pid}/cmdline`);
  if (stat === undefined || command === undefined) return undefined;
  // The name is in parentheses and may hold anything, so fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z") return undefined;
  return {
    pid,
    parent: Number(fields[1]),
    command: command.split("\0").filter((word) => word !== ""),
    cgroups: read(`/proc/${pid}/cgroup`) ?? "",
  };
};

/** Everything alive, zombies left out. */
export const processes = (): Process[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? []);

export const isAlive = (pid: number): boolean => readProcess(pid) !== undefined;

/** Processes whose command line names `text`, this one left out. */
export const naming = (text: string): Process[] =>
  processes().filter((one) => one.pid !== process.pid && one.command.some((word) => word.includes(text)));

/** Processes inside a container: those whose cgroup path holds the allocation's id. */
export const inside = (allocation: string): Process[] => processes().filter((one) => one.cgroups.includes(allocation));

export const namespaceOf = (pid: number | "self", kind: string): string => readlinkSync(`/proc/${pid}/ns/${kind}`);

export const statusOf = (pid: number): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(`/proc/${pid}/status`, "utf8")
      .split("\n")
      .flatMap((line) => {
        const at = line.indexOf(":");
        return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1).trim()] as const];
      }),
  );

export const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
};
