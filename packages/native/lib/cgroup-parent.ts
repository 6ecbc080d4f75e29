/**
 * The directory in each cgroup hierarchy below which all containers lie: made, given its controllers, taken away.
 * Berth keeps to its own subtree: it enables v2 controllers along its own path, and what it may not enable there it
 * reports instead of changing anything else.
 */
import { constants } from "node:fs";
import { mkdir, open, readdir, readFile, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { CgroupLayout, Controller, Hierarchy } from "./cgroup-layout.ts";
import { fromSystemError, hasCode, NativeFailure } from "./errors.ts";

export interface PreparedParent {
  /** Without the controllers that were not delegated. */
  readonly layout: CgroupLayout;
  readonly reasons: Readonly<Partial<Record<Controller, string>>>;
}

/** Makes `parent` in every hierarchy; on v2 also hands the controllers down to it, and to containers what all need. */
export const prepareParent = async (layout: CgroupLayout, parent: string): Promise<PreparedParent> => {
  const reasons: Partial<Record<Controller, string>> = {};
  const usable = async (hierarchy: Hierarchy, below: boolean): Promise<Hierarchy> => {
    const path = join(hierarchy.path, parent);
    try {
      await mkdir(path, { recursive: true });
      if (hierarchy.version === 2) Object.assign(reasons, await delegate(hierarchy, parent, below));
      else if (hierarchy.controllers.includes("cpuset")) await fillCpuset(hierarchy.path, parent);
    } catch (cause) {
      throw cause instanceof NativeFailure ? cause : new NativeFailure(fromSystemError("cgroup.prepare", cause, path));
    }
    return { ...hierarchy, controllers: hierarchy.controllers.filter((name) => reasons[name] === undefined) };
  };
  /* Before the others: leaving a v2 cgroup of its own may be needed for any controller. */
  const hierarchies: Hierarchy[] = [];
  for (const hierarchy of layout.hierarchies) hierarchies.push(await usable(hierarchy, true));
  const onDemand: Hierarchy[] = [];
  for (const hierarchy of layout.onDemand) onDemand.push(await usable(hierarchy, false));
  const missing = BASIC.flatMap((name) =>
    reasons[name] === undefined ? [] : [`The ${name} controller is not delegated: ${reasons[name]}`],
  );
  return { layout: { ...layout, hierarchies, onDemand, missing: [...layout.missing, ...missing] }, reasons };
};

const BASIC = ["cpu", "memory", "pids", "io"] as const;

/** Takes away what `prepareParent` made and nobody uses; directories that still hold something stay. */
export const removeParent = async (layout: CgroupLayout, parent: string): Promise<void> => {
  for (const root of new Set([...layout.hierarchies, ...layout.onDemand].map(({ path }) => path))) {
    for (let at = parent; at !== "."; at = dirname(at)) {
      try {
        await rmdir(join(root, at));
      } catch (cause) {
        if (hasCode(cause, "ENOENT")) continue;
        if (hasCode(cause, "EBUSY", "ENOTEMPTY")) break;
        throw new NativeFailure(fromSystemError("cgroup.remove", cause, join(root, at)));
      }
    }
  }
};

/** Lets containers have the on-demand controllers of a v2 hierarchy; those that run already get their files as well. */
export const enableOnDemand = async (hierarchy: Hierarchy, parent: string): Promise<void> => {
  for (const controller of hierarchy.controllers) {
    const failed = await enable(join(hierarchy.path, parent), controller);
    if (failed !== undefined)
      throw new NativeFailure(fromSystemError("cgroup.delegate", failed.cause, failed.sentence));
  }
};

/**
 * cgroup-v2.rst, "Top-down Constraint": every ancestor must enable a controller for its children. Answers why some
 * could not be enabled.
 */
const delegate = async (
  hierarchy: Hierarchy,
  parent: string,
  below: boolean,
): Promise<Partial<Record<Controller, string>>> => {
  const reasons: Partial<Record<Controller, string>> = {};
  const parts = ["", ...parent.split("/")];
  const paths = parts.map((_, i) => join(hierarchy.path, ...parts.slice(0, i + 1)));
  for (const controller of hierarchy.controllers) {
    for (const path of below ? paths : paths.slice(0, -1)) {
      const failed = await enable(path, controller);
      if (failed === undefined) continue;
      reasons[controller] = failed.sentence;
      break;
    }
  }
  return reasons;
};

interface Refusal {
  readonly cause: unknown;
  readonly sentence: string;
}

const enable = async (path: string, controller: Controller): Promise<Refusal | undefined> => {
  const file = join(path, "cgroup.subtree_control");
  try {
    /* Who was given a subtree may not write above it, and need not. */
    if ((await readFile(file, "utf8")).split(/\s+/).includes(controller)) return undefined;
    await writeCgroupFile(file, `+${controller}`);
    return undefined;
  } catch (cause) {
    if (hasCode(cause, "EBUSY") && (await leave(path)))
      return await writeCgroupFile(file, `+${controller}`).then(
        () => undefined,
        (again: unknown) => ({ cause: again, sentence: `+${controller} is refused in ${file}: ${codeOf(again)}` }),
      );
    if (!hasCode(cause, "EACCES", "EPERM", "EROFS", "ENOENT", "EBUSY", "EINVAL")) throw cause;
    const why = hasCode(cause, "EBUSY")
      ? `processes live in ${path} itself, and a cgroup with controllers for its children may have none`
      : hasCode(cause, "ENOENT")
        ? "it was not enabled above"
        : codeOf(cause);
    return { cause, sentence: `+${controller} is refused in ${file}: ${why}` };
  }
};

const codeOf = (cause: unknown): string => (cause instanceof Error && "code" in cause ? String(cause.code) : "failed");

/**
 * cgroup-v2.rst, "No Internal Process Constraint": whoever was put into the very cgroup that it was given has to move
 * into a leaf of it first. Only this process is moved, and only if nobody else is there.
 */
const leave = async (path: string): Promise<boolean> => {
  const members = (await readFile(join(path, "cgroup.procs"), "utf8")).split("\n").filter((line) => line !== "");
  if (members.length !== 1 || members[0] !== `${process.pid}`) return false;
  const leaf = join(path, "berth-agent");
  await mkdir(leaf, { recursive: true });
  /* 0 is whoever writes it, with all its threads. */
  await writeCgroupFile(join(leaf, "cgroup.procs"), "0");
  return true;
};

/** A new v1 cpuset is empty, and an empty one takes neither processes nor children with processors. */
const fillCpuset = async (root: string, parent: string): Promise<void> => {
  const parts = parent.split("/");
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    let above = (await readFile(join(root, file), "utf8")).trim();
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const path = join(root, ...parts.slice(0, depth), file);
      const own = (await readFile(path, "utf8")).trim();
      if (own === "") await writeCgroupFile(path, above);
      else above = own;
    }
  }
};

/** Not writeFile: it would truncate and create, and cgroupfs knows neither. One write is one change. */
export const writeCgroupFile = async (path: string, text: string): Promise<void> => {
  const file = await open(path, constants.O_WRONLY);
  try {
    await file.write(text);
  } finally {
    await file.close();
  }
};

/** Names of the control files that a cgroup of this hierarchy has. */
export const controlFiles = async (path: string): Promise<ReadonlySet<string>> => new Set(await readdir(path));
