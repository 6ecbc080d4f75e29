/**
 * Nobody supervises: what became of a container is decided from its records, under its lock. An exit record is the last
 * word; with a status alone something may have run, and its supervisor was killed; without both nothing ever did.
 */
import { closeSync } from "node:fs";
import type { ContainerCgroup } from "./cgroup.ts";
import type { Host } from "./host.ts";
import { lostRecord } from "./lost.ts";
import { parseExit, parseStatus, readRecord, writeExit } from "./records.ts";
import type { ExitRecord } from "./types.ts";

/** For what a kill of the whole cgroup is waited for. */
export const KILL_DIRECT_MS = 5000;

/** Whatever of it still runs is killed first. Undefined: it never ran. Closes `lock`. */
export const conclude = async (
  host: Host,
  cgroup: ContainerCgroup,
  directory: string,
  lock: number,
): Promise<ExitRecord | undefined> => {
  try {
    const exitText = await readRecord(directory, "exit");
    const known = exitText === undefined ? undefined : parseExit(exitText);
    if (known !== undefined) {
      await cgroup.kill(KILL_DIRECT_MS);
      return known;
    }
    const statusText = await readRecord(directory, "status");
    if (statusText === undefined && exitText === undefined) return undefined;
    const status = statusText === undefined ? undefined : parseStatus(statusText);
    /* It has its name once it is whole, and is on the disk half a minute later: the host went down in between. */
    const neverReachedDisk = statusText !== undefined && /^\0*$/.test(statusText);
    await cgroup.kill(KILL_DIRECT_MS);
    const record = lostRecord(status, neverReachedDisk || (status !== undefined && status.bootId !== host.bootId));
    await writeExit(directory, record);
    await cgroup.remove(status?.supervisorPid);
    return record;
  } finally {
    closeSync(lock);
  }
};
