/** The shape of `limits`, whatever was given. Which values make sense is known to resources/resources.ts. */
import { constants } from "node:os";
import { nativeError } from "../errors.ts";
import { firstMistakeOf, type IoLimit, type Resources } from "../resources/resources.ts";
import type { NativeError } from "../types.ts";
import { entries, fields, list, Mistake, optional, string, type Parse } from "./check.ts";

const LIMIT_KEYS = Object.keys({
  cpuRequestMillis: true,
  cpuLimitMillis: true,
  cpuBurstMillis: true,
  cpus: true,
  memoryNodes: true,
  memoryBytes: true,
  memoryHighBytes: true,
  memoryLowBytes: true,
  swapBytes: true,
  pids: true,
  ioWeight: true,
  ioLimits: true,
  hugePages: true,
} satisfies Record<keyof Resources, true>) as (keyof Resources)[];

const IO_KEYS = Object.keys({
  device: true,
  weight: true,
  readBytesPerSecond: true,
  writeBytesPerSecond: true,
  readsPerSecond: true,
  writesPerSecond: true,
} satisfies Record<keyof IoLimit, true>) as (keyof IoLimit)[];

const devices = list((field, one) => string(`${field}.device`, fields(field, one, IO_KEYS).device), 0, 1024);
const pageSizes: Parse<unknown> = (field, pages) => entries(field, pages, (_, bytes) => bytes, 1024);

/** The first thing of `limits` that can be on no host. */
export const limitsMistake = (value: unknown): NativeError | undefined => {
  const mistake = (detail: string): NativeError => nativeError("spec", constants.errno.EINVAL, detail);
  try {
    const given = fields("limits", value, LIMIT_KEYS);
    optional("limits.cpus", given.cpus, string, undefined);
    optional("limits.memoryNodes", given.memoryNodes, string, undefined);
    optional("ioLimits", given.ioLimits, devices, undefined);
    optional("hugePages", given.hugePages, pageSizes, undefined);
    const wrong = firstMistakeOf(given as unknown as Resources);
    return wrong === undefined ? undefined : mistake(wrong);
  } catch (cause) {
    if (cause instanceof Mistake) return mistake(cause.message);
    throw cause;
  }
};
