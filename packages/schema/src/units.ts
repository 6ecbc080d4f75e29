/**
 * Quantities as people write them (`256Mi`, `0.5`, `1m30s`) and as Berth keeps them: integers with the unit in the name
 * (`memoryBytes`, `cpuMillis`, `timeoutMs`). Parsing is strict: what is not understood is an error that says what is.
 */
import { err, ok, type Result } from "./result.ts";

const BYTES: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  PiB: 2 ** 50,
  k: 1e3,
  kB: 1e3,
  M: 1e6,
  MB: 1e6,
  G: 1e9,
  GB: 1e9,
  T: 1e12,
  TB: 1e12,
  P: 1e15,
  PB: 1e15,
};

const DURATIONS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const positiveInteger = (value: number, what: string): Result<number, string> =>
  Number.isSafeInteger(value) && value >= 0 ? ok(value) : err(`${what} is out of range`);

/** `256Mi`, `1.5GiB`, `80MB` or a number of bytes → bytes, rounded up. */
export const parseBytes = (input: string | number): Result<number, string> => {
  if (typeof input === "number") {
    return Number.isSafeInteger(input) && input >= 0 ? ok(input) : err("a size in bytes must be a whole number ≥ 0");
  }
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(input.trim());
  const factor = match === null ? undefined : BYTES[match[2] ?? ""];
  if (match === null || factor === undefined) {
    return err(`"${input}" is not a size; write it like 256Mi, 1.5Gi or 80MB`);
  }
  return positiveInteger(Math.ceil(Number(match[1]) * factor), `"${input}"`);
};

/** `100M`, `1.5G`, `1 Gbit/s` or a number of bits → bits per second, rounded up. Decimal, as networks count. */
export const parseBits = (input: string | number): Result<number, string> => {
  const text = String(input).trim();
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)\s*([kMGT]?)(?:bit(?:\/s)?)?$/.exec(text) ?? [];
  if (amount === undefined) {
    return err(`"${text}" is not a number of bits per second; write it like 100M, 1G or 2.5G (decimal: 1G is 1000M)`);
  }
  // Read as one number, there is no binary noise in it: 67.4 times 10^12 would be more than 67.4e12.
  return positiveInteger(Math.ceil(Number(`${amount}e${3 * ["", "k", "M", "G", "T"].indexOf(unit)}`)), `"${text}"`);
};

/** `0.5`, `2` or `250m` → thousandths of one CPU, rounded up. */
export const parseCpuMillis = (input: string | number): Result<number, string> => {
  const text = String(input).trim();
  const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(text);
  if (match === null) return err(`"${text}" is not a number of CPUs; write it like 0.5, 2 or 250m`);
  const value = match[2] === "m" ? Number(match[1]) : Number(match[1]) * 1000;
  // Removes binary noise first: 0.07 CPUs are 70 thousandths, not 71.
  return positiveInteger(Math.ceil(Number(value.toFixed(6))), `"${text}"`);
};

/** `30s`, `1m30s`, `250ms`, `2h` → milliseconds. A bare number is refused: nobody knows its unit. */
export const parseDurationMs = (input: string | number): Result<number, string> => {
  const text = String(input).trim();
  const help = `"${text}" is not a duration; write it like 30s, 1m30s, 2h or 250ms`;
  if (!/^(\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return err(help);
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (DURATIONS[unit ?? ""] ?? Number.NaN);
  }
  return positiveInteger(Math.round(total), `"${text}"`);
};

const trim = (value: number): string => {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return digits === 0 ? text : text.replace(/\.?0+$/, "");
};

const inUnits = (amount: number, step: number, units: readonly string[]): string => {
  let value = amount;
  let at = 0;
  while (Math.abs(value) >= step && at < units.length - 1) {
    value /= step;
    at += 1;
  }
  return `${trim(value)} ${units[at]}`;
};

/** Three significant digits and a binary unit: `1.5 GiB`. */
export const formatBytes = (bytes: number): string => inUnits(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);

/** Three significant digits and a decimal unit: `2.5 Gbit/s`. */
export const formatBits = (bits: number): string =>
  inUnits(bits, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);

/** An amount in the unit that the name of its dimension ends in; undefined: it is a plain number. */
export const formatByUnit = (dimension: string, amount: number): string | undefined => {
  if (dimension.endsWith("Bytes")) return formatBytes(amount);
  return dimension.endsWith("Bits") ? formatBits(amount) : undefined;
};

/** `0.5` for 500 thousandths of a CPU. */
export const formatCpu = (cpuMillis: number): string => String(Number((cpuMillis / 1000).toFixed(3)));

/** The two largest units that matter: `340ms`, `12.3s`, `4m 10s`, `3h 5m`, `2d 4h`. */
export const formatDuration = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${trim(ms / 1000)}s`;
  const seconds = Math.floor(ms / 1000);
  const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit} ${small}${smallUnit}`;
  if (seconds < 3600) return pair(Math.floor(seconds / 60), "m", seconds % 60, "s");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "m");
  const hours = Math.floor(minutes / 60);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
};
