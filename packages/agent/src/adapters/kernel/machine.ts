/** Reads what core/capacity.ts wants to know of this machine. Once at start-up. */
import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { cgroupVersion, parseCgroupMounts, readCgroupLimits } from "../../core/cgroup-files.ts";
import type { Machine } from "../../core/capacity.ts";
import { parseAllowedCpus, parseMeminfo, parseNumber, parseStat } from "../../core/proc-files.ts";

/** The text of a small kernel file, or undefined when it cannot be read. Never blocks: these files are made in memory. */
export const readKernelFile = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

const DEFAULT_PID_MAX = 32_768;

export const readMachine = (read: (path: string) => string | undefined = readKernelFile): Machine => {
  const parse = <T>(path: string, parser: (text: string) => T | undefined): T | undefined => {
    const text = read(path);
    return text === undefined ? undefined : parser(text);
  };
  return {
    cpus: parse("/proc/stat", parseStat)?.cpus ?? availableParallelism(),
    allowedCpus: parse("/proc/self/status", parseAllowedCpus),
    memoryBytes: parse("/proc/meminfo", parseMeminfo)?.totalBytes ?? totalmem(),
    pids: Math.min(
      parse("/proc/sys/kernel/pid_max", parseNumber) ?? DEFAULT_PID_MAX,
      parse("/proc/sys/kernel/threads-max", parseNumber) ?? DEFAULT_PID_MAX,
    ),
    limits: readCgroupLimits(read("/proc/self/cgroup") ?? "", read("/proc/self/mountinfo") ?? "", read),
  };
};

export const readCgroupVersion = (): "v1" | "hybrid" | "v2" =>
  cgroupVersion(parseCgroupMounts(readKernelFile("/proc/self/mountinfo") ?? ""));

export const readBootId = (): string => readKernelFile("/proc/sys/kernel/random/boot_id")?.trim() ?? "unknown";
