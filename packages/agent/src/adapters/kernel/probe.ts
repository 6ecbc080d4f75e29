/** What changes from heartbeat to heartbeat: seven small kernel files, some hundred microseconds, no process. */
import { uptime } from "node:os";
import type { Pressure } from "@berth/schema";
import {
  cpuMillisBetween,
  parseIdMapBase,
  parseLoadavg,
  parseMeminfo,
  parsePressure,
  parseStartedBoottimeMs,
  parseStat,
  type CpuTimes,
} from "../../core/proc-files.ts";
import type { HostProbe } from "../../ports/host.ts";
import { readKernelFile } from "./machine.ts";

export const createHostProbe = (read: (path: string) => string | undefined = readKernelFile): HostProbe => {
  const parse = <T>(path: string, parser: (text: string) => T | undefined): T | undefined => {
    const text = read(path);
    return text === undefined ? undefined : parser(text);
  };
  const pressure = (): Pressure | null => {
    const cpu = parse("/proc/pressure/cpu", parsePressure);
    const memory = parse("/proc/pressure/memory", parsePressure);
    const io = parse("/proc/pressure/io", parsePressure);
    // Kernels without CONFIG_PSI have none of them.
    if (cpu === undefined || memory === undefined || io === undefined) return null;
    return {
      cpuSome10: cpu.some10,
      memorySome10: memory.some10,
      memoryFull10: memory.full10,
      ioSome10: io.some10,
      ioFull10: io.full10,
    };
  };
  let before: CpuTimes | undefined = parse("/proc/stat", parseStat);
  return {
    sample: () => {
      const now = parse("/proc/stat", parseStat);
      const cpuMillis = before === undefined || now === undefined ? 0 : cpuMillisBetween(before, now);
      before = now ?? before;
      const memory = parse("/proc/meminfo", parseMeminfo);
      const load = parse("/proc/loadavg", parseLoadavg);
      return {
        usage: {
          cpuMillis,
          memoryBytes: memory === undefined ? 0 : memory.totalBytes - memory.availableBytes,
          pids: load?.tasks ?? 0,
          load1: load?.load1 ?? 0,
          uptimeMs: Math.round(uptime() * 1000),
        },
        pressure: pressure(),
      };
    },
    ageMsOf: (pid) => {
      const startedMs = parse(`/proc/${pid}/stat`, parseStartedBoottimeMs);
      return startedMs === undefined ? undefined : Math.max(0, uptime() * 1000 - startedMs);
    },
    idBaseOf: (pid) => parse(`/proc/${pid}/uid_map`, parseIdMapBase),
  };
};
