/** The shape of `limits`, whatever was given. Which values make sense is known to resources/resources.ts. */
import { constants } from "node:os";
import { nativeError } from "../errors.ts";
import { firstMistakeOf, type IoLimit, type Resources } from "../resources/resources.ts";
import type { NativeError } from "../types.ts";
import { entries, fields, list, Mistake, optional, string } from "./check.ts";

export const limitsOf = (value: unknown): Resources => {
  const given = fields("limits", value, LIMIT_KEYS);
  for (const key of ["cpus", "memoryNodes"] as const) optional(`limits.${key}`, given[key], string, "");
  optional(
    "ioLimits",
    given.ioLimits,
    list((field, one) => string(`${field}.device`, fields(field, one, IO_KEYS).device), 0, 1024),
    [],
  );
  optional("hugePages", given.hugePages, (field, pages) => entries(field, pages, (_, bytes) => bytes, 1024), []);
  const limits = given as unknown as Resources;
  const wrong = firstMistakeOf(limits);
  if (wrong !== undefined) throw new Mistake(wrong);
  return limits;
};

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

/** The first thing of `limits` that can be on no host. */
export const limitsMistake = (value: unknown): NativeError | undefined => {
  try {
    limitsOf(value);
    return undefined;
  } catch (cause) {
    if (cause instanceof Mistake) return nativeError("spec", constants.errno.EINVAL, cause.message);
    throw cause;
  }
};
