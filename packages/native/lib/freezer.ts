/**
 * Stops every process of a cgroup at once and lets it go on (cgroup-v2.rst, cgroup.freeze; cgroup-v1/freezer-subsystem.rst).
 * Frozen is what the kernel says is frozen: the state lives in the cgroup, so it outlives the agent.
 */
import { readFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeCgroupFile } from "./cgroup-parent.ts";
import { fromSystemError, hasCode, nativeError, NativeFailure } from "./errors.ts";

const STAGE = "cgroup.freeze";
/** A process in the middle of slow input or output freezes when that is over. */
const FREEZE_WAIT_MS = 5000;

export interface FreezerPlace {
  /** The container's cgroup in the v2 hierarchy, or in v1's freezer hierarchy. */
  readonly path: string;
  readonly version: 1 | 2;
}

/** Resolves when every process stands still. What cannot be frozen in time is let go again. */
export const freeze = async (place: FreezerPlace, withinMs = FREEZE_WAIT_MS): Promise<void> => {
  const deadline = performance.now() + withinMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    /* v1 may give up half-way (FREEZING) until it is told again. */
    if (pauseMs === 1 || place.version === 1) await write(place, "FROZEN", "1");
    if (await isFrozen(place)) return;
    if (performance.now() >= deadline) break;
    await sleep(pauseMs);
  }
  await thaw(place);
  const detail = `not every process in ${place.path} stood still within ${withinMs} ms`;
  throw new NativeFailure(nativeError(STAGE, constants.errno.EBUSY, detail));
};

/** Nothing to wait for: a thawed process runs when it is its turn. */
export const thaw = (place: FreezerPlace): Promise<void> => write(place, "THAWED", "0");

/** False as well for a cgroup that is gone. */
export const isFrozen = async (place: FreezerPlace): Promise<boolean> => {
  try {
    const text = await readFile(join(place.path, place.version === 1 ? "freezer.state" : "cgroup.events"), "utf8");
    return place.version === 1 ? text.trim() === "FROZEN" : /^frozen 1$/m.test(text);
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ENODEV")) return false;
    throw cause;
  }
};

const write = async (place: FreezerPlace, v1: string, v2: string): Promise<void> => {
  const [file, text] = place.version === 1 ? ["freezer.state", v1] : ["cgroup.freeze", v2];
  try {
    await writeCgroupFile(join(place.path, file), text);
  } catch (cause) {
    throw new NativeFailure(fromSystemError(STAGE, cause, `${file} = ${text} in ${place.path}`));
  }
};
