/**
 * What a container may use, in units that do not depend on the cgroup version. Plain data: settings.ts turns it into
 * cgroup files, and says what this host cannot enforce.
 */

export interface Resources {
  /** Share when CPUs are contended: requested thousandths of a CPU; becomes v2 weight or v1 shares. */
  readonly cpuRequestMillis: number;
  /** Quota in thousandths of a CPU, or null for none. */
  readonly cpuLimitMillis: number | null;
  /**
   * How many thousandths of a CPU it may use beyond its limit in a period, of what it left unused before. At most the
   * limit itself, which must be there. Default 0.
   */
  readonly cpuBurstMillis?: number;
  /** The only processors it may run on, as a list like `0-3,8`. Default: all of them. */
  readonly cpus?: string;
  /** The only memory nodes (NUMA) it may take memory from, as a list like `0`. Default: all of them. */
  readonly memoryNodes?: string;
  /** Beyond this, processes are killed. */
  readonly memoryBytes: number;
  /** Beyond this, processes are slowed down and their memory is taken back; never killed for it. Default: none. */
  readonly memoryHighBytes?: number | null;
  /** Not taken back while memory elsewhere can be. Default 0. */
  readonly memoryLowBytes?: number;
  /** How much may be swapped out besides `memoryBytes`. Default 0: nothing swaps. */
  readonly swapBytes?: number;
  /** Processes and threads; the container's own small init counts as one, and fewer than 2 mean 2. */
  readonly pids: number;
  /** Share of a contended disk, 1…1000. Default 100. */
  readonly ioWeight?: number;
  /** Shares and ceilings of single disks; at most 16. */
  readonly ioLimits?: readonly IoLimit[];
  /** Bytes of huge pages by their size: `{ "2MB": 2097152 }`. Default: no ceiling but the pages that there are. */
  readonly hugePages?: Readonly<Record<string, number>>;
}

/** Of a whole disk; a partition's number is refused by the kernel. What is not given is not limited, two is the least. */
export interface IoLimit {
  /** Number of the block device, `8:0`, as `lsblk` and /proc/partitions show it. */
  readonly device: string;
  /** Share of this disk when it is contended, 1…1000. Default: `ioWeight`. */
  readonly weight?: number;
  readonly readBytesPerSecond?: number;
  readonly writeBytesPerSecond?: number;
  readonly readsPerSecond?: number;
  readonly writesPerSecond?: number;
}

export type Knob = keyof Resources;

/** A limit that was asked for and does not hold on this host, or holds in part, and why. */
export interface Unenforced {
  readonly knob: Knob;
  readonly reason: string;
}

const MAX_IO_LIMITS = 16;
/** The narrower of two ranges: that of bfq. */
const MAX_WEIGHT = 1000;
/** The narrower of two ranges: v2 refuses a ceiling of one (tg_set_limit in block/blk-throttle.c). */
const MIN_CEILING = 2;
const PAGE = 4096;

const whole = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most;

const number = (knob: Knob, value: number, least: number, most: number): string | undefined =>
  whole(value, least, most) ? undefined : `${knob}: ${value} is not in ${least}..${most}`;
const optional = (knob: Knob, value: number | null | undefined, least: number, most: number): string | undefined =>
  value === undefined || value === null ? undefined : number(knob, value, least, most);

/** A sentence on the first thing that can be on no host, or undefined. It starts with the name of the field. */
export const firstMistakeOf = (wanted: Resources): string | undefined => {
  const most = Number.MAX_SAFE_INTEGER;
  const { cpuLimitMillis } = wanted;
  return (
    number("cpuRequestMillis", wanted.cpuRequestMillis, 0, 1e9) ??
    (cpuLimitMillis === null ? undefined : number("cpuLimitMillis", cpuLimitMillis, 1, 1e9)) ??
    burstMistake(wanted) ??
    list("cpus", wanted.cpus) ??
    list("memoryNodes", wanted.memoryNodes) ??
    number("memoryBytes", wanted.memoryBytes, 65_536, most) ??
    optional("memoryHighBytes", wanted.memoryHighBytes, PAGE, most) ??
    optional("memoryLowBytes", wanted.memoryLowBytes, 0, most) ??
    optional("swapBytes", wanted.swapBytes, 0, most - wanted.memoryBytes) ??
    number("pids", wanted.pids, 1, 4_194_304) ??
    optional("ioWeight", wanted.ioWeight, 1, MAX_WEIGHT) ??
    ioMistake(wanted.ioLimits ?? []) ??
    hugePagesMistake(wanted.hugePages ?? {})
  );
};

const burstMistake = ({ cpuBurstMillis: burst = 0, cpuLimitMillis: limit }: Resources): string | undefined => {
  if (burst === 0) return undefined;
  if (limit === null) return "cpuBurstMillis: there is no cpuLimitMillis to go beyond";
  return whole(burst, 0, limit) ? undefined : `cpuBurstMillis: ${burst} is not in 0..${limit}, the limit`;
};

const list = (knob: Knob, text: string | undefined): string | undefined => {
  if (text === undefined || parseList(text) !== undefined) return undefined;
  return `${knob}: ${JSON.stringify(text.slice(0, 80))} is not a list of numbers like 0-3,8`;
};

const ioMistake = (limits: readonly IoLimit[]): string | undefined => {
  if (limits.length > MAX_IO_LIMITS) return `ioLimits: ${limits.length} given, at most ${MAX_IO_LIMITS} are possible`;
  const seen = new Set<string>();
  for (const { device, weight, ...ceilings } of limits) {
    if (!/^\d{1,4}:\d{1,7}$/.test(device))
      return `ioLimits: device ${JSON.stringify(device.slice(0, 40))} is not a number like 8:0`;
    if (seen.has(device)) return `ioLimits: device ${device} is named twice`;
    seen.add(device);
    if (weight !== undefined && !whole(weight, 1, MAX_WEIGHT))
      return `ioLimits: weight ${weight} is not in 1..${MAX_WEIGHT}`;
    for (const [name, value] of Object.entries(ceilings))
      if (value !== undefined && !whole(value, MIN_CEILING, 0xffff_ffff))
        return `ioLimits: ${name} ${value} is not in ${MIN_CEILING}..4294967295`;
  }
  return undefined;
};

const hugePagesMistake = (pages: Readonly<Record<string, number>>): string | undefined => {
  const sizes = Object.entries(pages);
  if (sizes.length > 8) return `hugePages: ${sizes.length} sizes given, at most 8 are possible`;
  for (const [size, bytes] of sizes) {
    if (!/^[1-9][0-9]{0,3}(KB|MB|GB)$/.test(size))
      return `hugePages: ${JSON.stringify(size.slice(0, 40))} is not a size like 2MB`;
    if (!whole(bytes, 0, Number.MAX_SAFE_INTEGER)) return `hugePages: ${size} ${bytes} is not a number of bytes`;
  }
  return undefined;
};

/** cpuset(7), "List format"; undefined when it is none, is empty, or has an absurd length. */
export const parseList = (text: string): ReadonlySet<number> | undefined => {
  const numbers = new Set<number>();
  if (text.length > 1024) return undefined;
  for (const part of text.split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first) return undefined;
    for (let i = first; i <= last; i += 1) numbers.add(i);
  }
  return numbers;
};
