/**
 * Limits of a program that is executed in a container, in a cgroup of its own below the container's. Both hold: the kernel
 * does not let a child have more than its parent.
 */
import { constants } from "node:os";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeCgroupFile } from "../cgroup-parent.ts";
import { nativeError } from "../errors.ts";
import type { Cgroups } from "../spec/cgroups.ts";
import { fields, Mistake } from "../spec/check.ts";
import type { ExecLimits, NativeError } from "../types.ts";
import type { Place } from "./apply.ts";
import { planStart } from "./plan.ts";
import { firstMistakeOf, type Resources } from "./resources.ts";
import type { ResourceHost, Setting } from "./setting.ts";
import { settingsOf } from "./settings.ts";

export type Within =
  | { readonly ok: true; readonly value: Omit<Cgroups, "parent"> }
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
  if (wanted === undefined) return { ok: true, value: { hierarchies: [], writes: [] } };
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
  const writes = planStart(settings.filter(({ controller }) => controllers.has(controller)));
  const hierarchies = host.hierarchies
    .filter(({ onDemand }) => !onDemand)
    .map((hierarchy) => ({ ...hierarchy, controllers: hierarchy.controllers.filter((name) => controllers.has(name)) }))
    .filter((hierarchy) => hierarchy.controllers.length > 0);
  return { ok: true, value: { hierarchies, writes } };
};

interface Quota {
  readonly quota: number;
  readonly period: number;
}

/** By their cgroups, what programs had that were lowered with their container. What such a program left may outlive this agent. */
export type Lowered = Map<string, Quota>;

/** As it was noted; undefined when that is nonsense. */
export const parseLowered = (noted: unknown): Lowered | undefined => {
  if (noted === undefined) return new Map();
  if (!Array.isArray(noted)) return undefined;
  const entries = noted.map((one: Partial<Quota & { leaf: string }> | null) => one ?? {});
  const isWhole = entries.every(
    ({ leaf, period, quota }) =>
      typeof leaf === "string" && leaf.startsWith("/") && Number.isSafeInteger(quota) && Number.isSafeInteger(period),
  );
  if (!isWhole) return undefined;
  return new Map(entries.map(({ leaf = "", period = 0, quota = 0 }) => [leaf, { quota, period }]));
};
export const noteLowered = (lowered: Lowered) => [...lowered].map(([leaf, quota]) => ({ leaf, ...quota }));

const QUOTA = "cpu.cfs_quota_us";
const PERIOD = "cpu.cfs_period_us";

const shareOf = ({ quota, period }: Quota): number => (quota < 0 ? Number.POSITIVE_INFINITY : quota / period);

const readQuota = async (directory: string): Promise<Quota> => {
  const read = async (file: string): Promise<number> => Number(await readFile(join(directory, file), "utf8"));
  return { quota: await read(QUOTA), period: await read(PERIOD) };
};

/** Without one in between: of a new quota with the old period the kernel might say that it is too much. */
const writeQuota = async (directory: string, { quota, period }: Quota): Promise<void> => {
  await writeCgroupFile(join(directory, QUOTA), "-1");
  await writeCgroupFile(join(directory, PERIOD), `${period}`);
  await writeCgroupFile(join(directory, QUOTA), `${quota}`);
};

/**
 * v1 refuses a quota of the container below one that a program in it has: those get the new one first. `note` is called before
 * the first of them is changed, with what all of them had.
 */
export const lowerBelow = async (
  settings: readonly Setting[],
  place: Place,
  lowered: Lowered,
  note: () => Promise<void>,
): Promise<void> => {
  const quota = settings.find(({ file }) => file === QUOTA);
  const period = settings.find(({ file }) => file === PERIOD);
  if (quota === undefined || period === undefined || Number(quota.value) < 0) return;
  const next = { quota: Number(quota.value), period: Number(period.value) };
  const own = place(quota.path);
  const entries = await readdir(own, { withFileTypes: true }).catch(() => []);
  const leaves = entries.filter((one) => one.isDirectory()).map((entry) => join(own, entry.name));
  const above: string[] = [];
  for (const leaf of leaves) {
    /* One that is just going needs nothing. */
    const has = await readQuota(leaf).catch(() => undefined);
    if (has === undefined || has.quota < 0 || shareOf(has) <= shareOf(next)) continue;
    if (!lowered.has(leaf)) lowered.set(leaf, has);
    above.push(leaf);
  }
  if (above.length === 0) return;
  await note();
  for (const leaf of above) await writeQuota(leaf, next).catch(() => undefined);
};

/**
 * Whether v1 has refused a quota for being below that of a program: of one that has just started, or of one that has just ended,
 * since the kernel counts a cgroup that is removed until a grace period of RCU is over.
 */
export const isBelowOthers = ({ code, detail }: NativeError): boolean => code === "EINVAL" && detail.startsWith(QUOTA);

/** Gives back what was lowered, as far as the quotas that the containers have now allow it. */
export const raiseBelow = async (lowered: Lowered): Promise<void> => {
  for (const [leaf, wanted] of lowered) {
    try {
      const [most, has] = [await readQuota(dirname(leaf)), await readQuota(leaf)];
      const isAllowed = shareOf(wanted) <= shareOf(most);
      if (isAllowed || shareOf(has) < shareOf(most)) await writeQuota(leaf, isAllowed ? wanted : most);
      if (isAllowed) lowered.delete(leaf);
    } catch {
      lowered.delete(leaf);
    }
  }
};
