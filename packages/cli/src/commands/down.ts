/** `berth down`: stops what `berth up` started, and its containers with it. Also when it was killed and only they are left. */
import { setTimeout as sleep } from "node:timers/promises";
import { realpathSync } from "node:fs";
import { DEFAULT_DATA_DIR, dataDirOf } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { hostDir, knownHosts } from "../manager/cluster.ts";
import { acquireLock, announceDown, readHolder } from "../manager/lock.ts";
import { removeNetwork } from "../manager/network.ts";
import { requireRoot } from "../manager/preflight.ts";
import { isAlive, type ProcessId } from "../manager/process-id.ts";
import { openRecords } from "../manager/records.ts";
import { plural } from "./up.ts";
import { withExamples, type Register } from "./verb.ts";

/** Longer than `up` gives all its processes together. */
const PATIENCE_MS = 60_000;
const STEP_MS = 100;

export const registerDown: Register = (program, { io, finish }) => {
  const command = program
    .command("down")
    .description("stop the cluster on this machine, and its containers")
    .option("--data-dir <dir>", `of \`berth up\` (or BERTH_DATA_DIR; default ${DEFAULT_DATA_DIR})`)
    .action(async (options: { readonly dataDir?: string }) => {
      finish(await down(io, dataDirOf(options, io.env)));
    });
  withExamples(command, [
    ["berth down", "stop Berth and every container"],
    ["berth down --data-dir /srv/berth", "of a cluster that lives elsewhere"],
  ]);
};

const down = async (io: Io, given: string): Promise<number> => {
  requireRoot(`${io.command} down`);
  const dataDir = existing(given);
  if (dataDir === undefined) {
    await say(io, `Nothing to stop: there is no ${given}`);
    return Exit.ok;
  }
  const holder = readHolder(dataDir);
  if (holder !== undefined) {
    const withdraw = announceDown(dataDir);
    await stopUp(io, holder.process).finally(withdraw);
  }
  const lock = acquireLock(dataDir);
  try {
    const ended = await openRecords(dataDir).endLeftOvers();
    if (ended.length > 0) await say(io, `Ended what an earlier start had left: ${ended.join(", ")}`);
    const removed = await removeNetwork(dataDir).catch(() => 0);
    if (removed > 0) await say(io, "Removed the network of the hosts");
    let stopped = 0;
    for (const id of knownHosts(dataDir)) {
      const { stopAllContainers } = await import("@berth/agent");
      stopped += await stopAllContainers(hostDir(dataDir, id));
    }
    if (stopped > 0) await say(io, `Stopped ${plural(stopped, "container")}`);
    else if (holder === undefined) await say(io, "Nothing was running");
    return Exit.ok;
  } finally {
    lock.release();
  }
};

const existing = (path: string): string | undefined => {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
};

const stopUp = async (io: Io, process_: ProcessId): Promise<void> => {
  await say(io, `Stopping \`berth up\` (pid ${process_.pid})`);
  process.kill(process_.pid, "SIGTERM");
  for (let waited = 0; isAlive(process_); waited += STEP_MS) {
    if (waited >= PATIENCE_MS) {
      throw new Failure("`berth up` does not stop", {
        exit: Exit.failed,
        detail: `pid ${process_.pid} is still there after ${PATIENCE_MS / 1000}s`,
        next: [`kill -9 ${process_.pid}     (containers go on)`, "berth down        (again, stops them)"],
      });
    }
    if (io.stop.aborted)
      throw new Failure("Interrupted", { exit: Exit.interrupted, next: ["berth down        (again)"] });
    await sleep(STEP_MS);
  }
};
