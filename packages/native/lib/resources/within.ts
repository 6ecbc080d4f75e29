/**
 * Limits of a program that is executed in a container, in a cgroup of its own below the container's. Both hold: the kernel
 * does not let a child have more than its parent.
 */
import { constants } from "node:os";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Hierarchy } from "../cgroup-layout.ts";
import { writeCgroupFile } from "../cgroup-parent.ts";
import { nativeError } from "../errors.ts";
import { fields, Mistake } from "../spec/check.ts";
import type { ExecLimits, NativeError } from "../types.ts";
import type { Place } from "./apply.ts";
import { planStart } from "./plan.ts";
import { firstMistakeOf, type Resources } from "./resources.ts";
import type { ResourceHost, Setting } from "./setting.ts";
import { settingsOf } from "./settings.ts";

export type Within =
  | {
      readonly ok: true;
      readonly value: { readonly hierarchies: readonly Hierarchy[]; readonly cgroupWrites: readonly Setting[] };
    }
  | { readonly ok: false; readonly error: NativeError };

const CONTROLLER_OF = {
  cpuRequestMillis: "cpu",
  cpuLimitMillis: "cpu",
  memoryBytes: "memory",
  pids: "pids",
} as const satisfies Record<keyof ExecLimits, string>;
const KEYS = Object.keys(CONTROLLER_OF) as (keyof ExecLimits)[];

/** Where the container's own are not known, nothing is bounded by them here; the kernel does it all the same. */
export const limitsWithin = (
  wanted: ExecLimits | undefined,
  container: Resources | undefined,
  host: ResourceHost,
): Within => {
  const refuse = (errno: number, detail: string): Within => ({ ok: false, error: nativeError("spec", errno, detail) });
  if (wanted === undefined) return { ok: true, value: { hierarchies: [], cgroupWrites: [] } };
  try {
    fields("limits", wanted, KEYS);
  } catch (cause) {
    if (cause instanceof Mistake) return refuse(constants.errno.EINVAL, cause.message);
    throw cause;
  }
  const asked = KEYS.filter((key) => wanted[key] !== undefined);
  const { cpuLimitMillis: quota } = wanted;
  const most = container?.cpuLimitMillis ?? Number.POSITIVE_INFINITY;
  const limits: Resources = {
    cpuRequestMillis: wanted.cpuRequestMillis ?? 1000,
    /* v1 refuses a quota beyond that of the parent. */
    cpuLimitMillis: quota === undefined ? null : quota > most ? most : (quota ?? Number.NaN),
    memoryBytes: wanted.memoryBytes ?? 65_536,
    pids: wanted.pids ?? 2,
  };
  const mistake = firstMistakeOf(limits);
  if (mistake !== undefined) return refuse(constants.errno.EINVAL, mistake);
  const { settings, unenforced } = settingsOf(limits, host);
  const lack = unenforced.find(({ knob }) => asked.some((key) => key === knob));
  if (lack !== undefined) return refuse(constants.errno.EOPNOTSUPP, `limits.${lack.knob}: ${lack.reason}`);
  const controllers = new Set<string>(asked.map((key) => CONTROLLER_OF[key]));
  const cgroupWrites = planStart(settings.filter(({ controller }) => controllers.has(controller)));
  const hierarchies = host.hierarchies
    .filter(({ onDemand }) => !onDemand)
    .map((hierarchy) => ({ ...hierarchy, controllers: hierarchy.controllers.filter((name) => controllers.has(name)) }))
    .filter((hierarchy) => hierarchy.controllers.length > 0);
  return { ok: true, value: { hierarchies, cgroupWrites } };
};

/** v1 refuses a quota of the container below one that a program in it has: those get the new one first. */
export const lowerBelow = async (settings: readonly Setting[], place: Place): Promise<void> => {
  const quota = settings.find(({ file }) => file === "cpu.cfs_quota_us");
  const period = settings.find(({ file }) => file === "cpu.cfs_period_us");
  if (quota === undefined || period === undefined || Number(quota.value) < 0) return;
  const own = place(quota.path);
  const entries = await readdir(own, { withFileTypes: true }).catch(() => []);
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const read = async (file: string): Promise<number> => Number(await readFile(join(own, name, file), "utf8"));
    /* One that is just going needs nothing. */
    try {
      const [has, each] = [await read(quota.file), await read(period.file)];
      if (has < 0 || has / each <= Number(quota.value) / Number(period.value)) continue;
      await writeCgroupFile(join(own, name, quota.file), "-1");
      await writeCgroupFile(join(own, name, period.file), period.value);
      await writeCgroupFile(join(own, name, quota.file), quota.value);
    } catch {
      continue;
    }
  }
};
