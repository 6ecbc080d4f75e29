/**
 * What containers have used, of many in one call: one job on a thread of the pool reads and parses a handful of small
 * files each (src/addon/stats.cc), and this thread only makes objects of the numbers.
 */
import { join } from "node:path";
import type { Binding } from "./binding.ts";
import type { CgroupLayout, Controller } from "./cgroup-layout.ts";
import type { ContainerStats, DeviceIo } from "./types.ts";

/** The order of the fields in src/addon/stats.cc. */
const FIELDS = [
  "cpuUsage",
  "cpuUser",
  "cpuSystem",
  "periods",
  "throttledPeriods",
  "throttled",
  "memoryCurrent",
  "inactiveFile",
  "cache",
  "swap",
  "peak",
  "oomKills",
  "pids",
  "pidsRefused",
  "frozen",
] as const;
const IO_COLUMNS = 7;

/** Of containers below one parent. Those that have no cgroup any more, or never had, are not among the answers. */
export const readStats = async (
  binding: Binding,
  layout: CgroupLayout,
  parent: string,
  ids: readonly string[],
): Promise<Map<string, ContainerStats>> => {
  const places = rolesOf(layout);
  const paths = places.map((place) => (place === undefined ? "" : join(place.path, parent)));
  const { values, io } = await binding.readStats(
    paths,
    places.map((place) => place?.version === 1),
    ids,
  );
  const devices = devicesOf(io);
  const found = new Map<string, ContainerStats>();
  ids.forEach((id, i) => {
    const row = values.subarray(i * FIELDS.length, (i + 1) * FIELDS.length);
    if (row.some((value) => !Number.isNaN(value))) found.set(id, statsOf(row, devices.get(i) ?? []));
  });
  return found;
};

/** Where each kind of number is told: usage, throttling, memory, processes, disks, whether all stands still. */
const rolesOf = ({ hierarchies, onDemand }: CgroupLayout) => {
  const of = (controller: Controller) =>
    [...hierarchies, ...onDemand].find(({ controllers }) => controllers.includes(controller));
  /* Every v2 cgroup counts CPU time, even without the controller. */
  const unified = hierarchies.find(({ version }) => version === 2);
  return [unified ?? of("cpuacct"), of("cpu"), of("memory"), of("pids"), of("io"), unified ?? of("freezer")];
};

const statsOf = (row: Float64Array, io: readonly DeviceIo[]): ContainerStats => {
  const number = (name: (typeof FIELDS)[number]): number | null => {
    const value = row[FIELDS.indexOf(name)];
    return value === undefined || Number.isNaN(value) ? null : Math.floor(value);
  };
  const memory = number("memoryCurrent");
  return {
    cpuUsageMicros: number("cpuUsage") ?? 0,
    cpuUserMicros: number("cpuUser"),
    cpuSystemMicros: number("cpuSystem"),
    cpuPeriods: number("periods"),
    cpuThrottledPeriods: number("throttledPeriods"),
    cpuThrottledMicros: number("throttled"),
    memoryBytes: memory === null ? 0 : Math.max(0, memory - (number("inactiveFile") ?? 0)),
    memoryUsageBytes: memory,
    memoryCacheBytes: number("cache"),
    memoryPeakBytes: number("peak"),
    swapBytes: number("swap"),
    oomKills: number("oomKills") ?? 0,
    pids: number("pids") ?? 0,
    pidsRefused: number("pidsRefused"),
    paused: number("frozen") === 1,
    io,
  };
};

/** By the place of the container in the call. */
const devicesOf = (rows: Float64Array): Map<number, DeviceIo[]> => {
  const found = new Map<number, DeviceIo[]>();
  for (let at = 0; at < rows.length; at += IO_COLUMNS) {
    const [index = 0, major, minor, readBytes = 0, writtenBytes = 0, reads = 0, writes = 0] = rows.subarray(
      at,
      at + IO_COLUMNS,
    );
    const devices = found.get(index) ?? [];
    devices.push({ device: `${major}:${minor}`, readBytes, writtenBytes, reads, writes });
    found.set(index, devices);
  }
  return found;
};

/** Of a container that ended before anybody asked. */
export const NO_STATS: ContainerStats = statsOf(new Float64Array(FIELDS.length).fill(Number.NaN), []);
