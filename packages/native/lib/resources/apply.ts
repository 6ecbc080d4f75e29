/**
 * Carries out a plan on the cgroups of one running container: all of it, or nothing. What a file held before is read
 * from the kernel, not remembered, so that an interrupted update or an operator's hand does no harm.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeCgroupFile } from "../cgroup-parent.ts";
import { fromSystemError, hasCode, nativeError, NativeFailure } from "../errors.ts";
import type { NativeError } from "../types.ts";
import type { Step } from "./plan.ts";
import type { Setting } from "./setting.ts";
import { constants } from "node:os";

const STAGE = "cgroup.limit";
/** Around this v1 shows "no limit"; the exact number depends on the size of a page. */
const V1_NO_LIMIT = 2 ** 62;

/** From the mount point of a hierarchy to the container's cgroup in it. */
export type Place = (path: string) => string;

/** The settings with the values that the kernel has now. */
export const readSettings = (settings: readonly Setting[], place: Place): Promise<Setting[]> =>
  Promise.all(
    settings.map(async (setting) => {
      const value = await currentValue(setting, place);
      if (setting.amount === undefined) return { ...setting, value };
      return { ...setting, value, amount: amountOf(value) };
    }),
  );

const currentValue = async ({ path, file, key, initial }: Setting, place: Place): Promise<string> => {
  let text: string;
  try {
    text = (await readFile(join(place(path), file), "utf8")).trim();
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return initial;
    throw cause;
  }
  if (key !== undefined) return text.split("\n").find((line) => line.startsWith(`${key} `)) ?? initial;
  /* io.weight says "default 100". */
  const value = text.split("\n")[0]?.replace(/^default /, "") ?? "";
  return value === "" || Number(value) >= V1_NO_LIMIT ? initial : value;
};

const amountOf = (text: string): number => {
  const number = Number.parseInt(text, 10);
  return Number.isNaN(number) || number < 0 ? Number.POSITIVE_INFINITY : number;
};

/** The failure of the first step that the kernel refused; everything before it was taken back, or it rejects. */
export const applySteps = async (steps: readonly Step[], place: Place): Promise<NativeError | undefined> => {
  for (const [done, step] of steps.entries()) {
    const failed = await applyStep(step, place);
    if (failed === undefined) continue;
    const left = await takeBack(steps.slice(0, done), place);
    if (left === undefined) return failed;
    throw new NativeFailure({ ...failed, detail: `${failed.detail}; ${left} could not be taken back` });
  }
  return undefined;
};

const applyStep = async (step: Step, place: Place): Promise<NativeError | undefined> => {
  const file = join(place(step.path), step.file);
  try {
    if (step.kind === "write") {
      await writeCgroupFile(file, step.value);
      return undefined;
    }
    const used = Number.parseInt(await readFile(file, "utf8"), 10);
    if (used <= step.bytes) return undefined;
    const detail = `${used} bytes are in use and cannot be taken back: more than ${step.bytes}`;
    return nativeError(STAGE, constants.errno.EBUSY, detail);
  } catch (cause) {
    const what = step.kind === "write" ? ` = ${step.value.trim()}` : "";
    return fromSystemError(STAGE, cause, `${step.file}${what}`);
  }
};

const takeBack = async (done: readonly Step[], place: Place): Promise<string | undefined> => {
  let left: string | undefined;
  for (const step of done.toReversed()) {
    if (step.kind !== "write") continue;
    try {
      await writeCgroupFile(join(place(step.path), step.file), step.undo);
    } catch {
      left ??= step.file;
    }
  }
  return left;
};

/** A pass moves whoever is there; children of those that were moved are born in the new place. */
const MAX_PASSES = 50;

/**
 * Gives a running container a cgroup in a v1 hierarchy that it did without so far. `first` is written before anybody
 * joins (a cpuset must be filled). True when every process is in it.
 */
export const joinHierarchy = async (
  target: string,
  first: readonly Setting[],
  members: () => Promise<readonly number[]>,
): Promise<boolean> => {
  await mkdir(target).catch((cause: unknown) => {
    if (!hasCode(cause, "EEXIST")) throw cause;
  });
  for (const setting of first) await writeCgroupFile(join(target, setting.file), setting.initial);
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    const inside = new Set((await readFile(join(target, "cgroup.procs"), "utf8")).split("\n").map(Number));
    let moved = false;
    for (const pid of (await members()).filter((candidate) => !inside.has(candidate))) {
      try {
        await writeCgroupFile(join(target, "cgroup.procs"), `${pid}`);
        moved = true;
      } catch (cause) {
        if (!hasCode(cause, "ESRCH")) throw cause;
      }
    }
    if (!moved) return true;
  }
  return false;
};
