/** Numbers, times and ids as the dashboard writes them. Quantities themselves are written by the schema package. */
import { formatByUnit, formatBytes, formatCpu, type AnyDimension } from "@berth/schema";

/** `12 %`; a share that is neither nothing nor all is never rounded to either. */
export const formatRatio = (ratio: number): string => {
  const percent = ratio * 100;
  if (percent > 0 && percent < 1) return "< 1 %";
  if (percent > 99 && percent < 100) return "> 99 %";
  return `${Math.round(percent)} %`;
};

/** The largest unit alone: `now`, `12s`, `4m`, `3h`, `2d`. Times ahead of this clock are now. */
export const formatAge = (ms: number): string => {
  if (ms < 1_000) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1_000)}s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}m`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)}h`;
  return `${Math.floor(ms / 86_400_000)}d`;
};

/** An amount of one dimension with its unit in words: `1.5 CPU`, `6 GiB`, `12 processes`. */
export const formatAmount = (dimension: AnyDimension, amount: number): string => {
  switch (dimension) {
    case "cpuMillis":
      return `${formatCpu(amount)} CPU`;
    case "memoryBytes":
      return formatBytes(amount);
    case "pids":
      return plural(amount, "process", "processes");
    default:
      return formatByUnit(dimension, amount) ?? `${amount.toLocaleString("en-US")} ${dimension}`;
  }
};

/** Measured CPU use, where thousandths are noise: three significant digits. */
export const formatCpuUsed = (cpuMillis: number): string => {
  if (cpuMillis > 0 && cpuMillis < 5) return "< 0.01";
  const cpus = cpuMillis / 1000;
  return String(Number(cpus.toFixed(cpus >= 10 ? 1 : 2)));
};

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;

/** `alloc_01k3…x7k2`: the end tells neighbours in time apart, the beginning says what it is. */
export const shortId = (id: string): string => (id.length <= 16 ? id : `${id.slice(0, 10)}…${id.slice(-4)}`);

/** Arguments as one would type them: quoted where a shell would split them. */
export const formatCommand = (command: readonly string[]): string =>
  command.map((word) => (/^[\w@%+=:,./${}[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
