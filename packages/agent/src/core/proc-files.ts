/**
 * Readers of what the kernel writes under /proc, see proc(5) and Documentation/accounting/psi.rst. Each takes the text of
 * one file and answers undefined when it does not hold what is expected: the caller reports "unknown", never a guess.
 */

const whole = (text: string | undefined): number | undefined => {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
};

export interface CpuTimes {
  readonly busyTicks: number;
  readonly totalTicks: number;
  /** Processors that are online. */
  readonly cpus: number;
}

/** /proc/stat. Waiting for I/O is idle time; guest time is part of user time already. */
export const parseStat = (text: string): CpuTimes | undefined => {
  const lines = text.split("\n");
  const fields = lines
    .find((line) => line.startsWith("cpu "))
    ?.trim()
    .split(/\s+/)
    .slice(1, 9)
    .map(whole);
  if (fields === undefined || fields.length < 4 || fields.some((field) => field === undefined)) return undefined;
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = fields;
  const busyTicks = user + nice + system + irq + softirq + steal;
  const cpus = lines.filter((line) => /^cpu\d/.test(line)).length;
  return { busyTicks, totalTicks: busyTicks + idle + iowait, cpus };
};

/** Thousandths of a CPU in use between two readings; 0 when no time passed or the counters went back. */
export const cpuMillisBetween = (before: CpuTimes, after: CpuTimes): number => {
  const total = after.totalTicks - before.totalTicks;
  const busy = after.busyTicks - before.busyTicks;
  if (total <= 0 || busy <= 0) return 0;
  return Math.round((Math.min(busy, total) / total) * after.cpus * 1000);
};

export interface Memory {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** /proc/meminfo */
export const parseMeminfo = (text: string): Memory | undefined => {
  const field = (name: string): number | undefined => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
    const kilobytes = whole(match?.[1]);
    return kilobytes === undefined ? undefined : kilobytes * 1024;
  };
  const totalBytes = field("MemTotal");
  const availableBytes = field("MemAvailable") ?? field("MemFree");
  if (totalBytes === undefined || availableBytes === undefined) return undefined;
  return { totalBytes, availableBytes: Math.min(totalBytes, availableBytes) };
};

export interface Load {
  readonly load1: number;
  /** Processes and threads that exist now. */
  readonly tasks: number;
}

/** /proc/loadavg: `0.06 0.24 0.17 1/92 12856` */
export const parseLoadavg = (text: string): Load | undefined => {
  const match = /^(\d+\.\d+) \d+\.\d+ \d+\.\d+ \d+\/(\d+) /.exec(text);
  const tasks = whole(match?.[2]);
  return match === null || tasks === undefined ? undefined : { load1: Number(match[1]), tasks };
};

export interface Stall {
  /** Shares of the last 10 s, 0 to 1. */
  readonly some10: number;
  readonly full10: number;
}

/** One of /proc/pressure/{cpu,memory,io}. Older kernels have no `full` line for cpu: that counts as none. */
export const parsePressure = (text: string): Stall | undefined => {
  const share = (kind: string): number | undefined => {
    const match = new RegExp(`^${kind} avg10=(\\d+(?:\\.\\d+)?) `, "m").exec(text);
    return match === null ? undefined : Math.min(1, Number(match[1]) / 100);
  };
  const some10 = share("some");
  return some10 === undefined ? undefined : { some10, full10: share("full") ?? 0 };
};

/** How many numbers a list like `0-3,8,10-11` holds (cpuset(7), "List format"); undefined when it is not one. */
export const countCpuList = (text: string): number | undefined => {
  const list = text.trim();
  if (list === "") return 0;
  let count = 0;
  for (const part of list.split(",")) {
    const match = /^(\d{1,7})(?:-(\d{1,7}))?$/.exec(part);
    const first = whole(match?.[1]);
    const last = match?.[2] === undefined ? first : whole(match[2]);
    if (first === undefined || last === undefined || last < first) return undefined;
    count += last - first + 1;
  }
  return count;
};

/** The processors this process may run on, from /proc/self/status. */
export const parseAllowedCpus = (text: string): number | undefined => {
  const match = /^Cpus_allowed_list:\s+(\S+)$/m.exec(text);
  return match?.[1] === undefined ? undefined : countCpuList(match[1]);
};

/** A file that holds one whole number, such as /proc/sys/kernel/pid_max. */
export const parseNumber = (text: string): number | undefined => whole(text.trim());

/** /proc/PID/stat counts in these, whatever the kernel itself ticks by (sysconf(_SC_CLK_TCK), proc(5)). */
const TICK_MS = 10;

/** When the process began, on CLOCK_BOOTTIME, from /proc/PID/stat: its name may hold spaces and parentheses. */
export const parseStartedBoottimeMs = (text: string): number | undefined => {
  const end = text.lastIndexOf(") ");
  const ticks = end < 0 ? undefined : whole(text.slice(end + 2).split(" ")[19]);
  return ticks === undefined ? undefined : ticks * TICK_MS;
};

/** The host id that id 0 of a process's user namespace maps to, from /proc/PID/uid_map. */
export const parseIdMapBase = (text: string): number | undefined => {
  const match = /^\s*0\s+(\d+)\s+\d+\s*$/m.exec(text);
  return whole(match?.[1]);
};
