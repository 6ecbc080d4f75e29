/**
 * A cluster from a backup. `berth restore` only lays the file into the data directory; the next start makes the cluster
 * of it:
 *
 *   file there ─► old store, log.state and snapshots moved aside, secrets written ─► empty log that begins far ahead
 *        ─► the backup as a snapshot of that log ─► its first transaction ─► remembered ─► file removed
 *
 * Killed in between, the next start does all of it again. The new log begins behind every sequence that the lost one can
 * have reached, since agents refuse an epoch smaller than the largest they have seen: at the wall clock's milliseconds,
 * or behind what is known, whichever is more.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Logger } from "pino";
import { LOG_VERSION, type Transaction } from "@berth/schema";
import { writeFileAtomic } from "./adapters/files/atomic.ts";
import { openDataDir, type DataDir } from "./adapters/files/data-dir.ts";
import type { LogMemory } from "./adapters/files/log-state.ts";
import { readSnapshotFile } from "./adapters/files/snapshot-files.ts";
import { decodeSnapshot, encodeSnapshot, type DecodedSnapshot } from "./app/snapshot-format.ts";
import { createState, moveRevision, restoreImage } from "./core/index.ts";
import type { Log } from "./ports/log.ts";
import type { SnapshotStore } from "./ports/snapshots.ts";
import { StartupProblem } from "./ports/startup-problem.ts";

const readBackup = async (path: string): Promise<DecodedSnapshot & { readonly chunks: readonly Uint8Array[] }> => {
  let chunks: readonly Uint8Array[];
  try {
    chunks = await readSnapshotFile(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartupProblem(`cannot read ${path}: ${why}`, { cause: error });
  }
  const decoded = decodeSnapshot(chunks);
  if (!decoded.ok) throw new StartupProblem(`${path} cannot be restored: ${decoded.error}`);
  return { ...decoded.value, chunks };
};

export interface PreparedRestore {
  readonly cluster: string;
  readonly takenAtMs: number;
  readonly revision: number;
  readonly hosts: number;
  readonly jobs: number;
  /** What will be moved aside by the next start, and where to. Undefined: there is nothing. */
  readonly replaces: string | undefined;
}

/** Lays a backup into a data directory whose scheduler does not run. Rejects with `StartupProblem`, having changed nothing. */
export const prepareRestore = async (file: string, dataDir: string): Promise<PreparedRestore> => {
  const { header, secrets, chunks, image } = await readBackup(file);
  // An image that contradicts itself must show now, not after the old store has been moved.
  restoreImage(createState(), image);
  const dir = await openDataDir(dataDir);
  try {
    if (secrets === undefined && !existsSync(dir.clusterKey)) {
      throw new StartupProblem(
        `${file} is a snapshot without the cluster's key, and ${dir.root} has none: hosts would believe nothing, and secrets could not be opened; use a file made by berth backup, or put cluster.key there first`,
      );
    }
    await writeFileAtomic(dir.restore, chunks, 0o600);
    const { cluster, takenAtMs, revision, hosts, jobs } = header;
    const replaces = existsSync(dir.logState) ? dir.root : undefined;
    return { cluster, takenAtMs, revision, hosts, jobs, replaces };
  } finally {
    dir.release();
  }
};

/** Moves what was there aside and writes the backup's secrets, if one waits. Before the embedded server is started. */
export const makeWay = async (dir: DataDir, logger: Logger): Promise<void> => {
  if (!existsSync(dir.restore)) return;
  const { secrets } = await readBackup(dir.restore);
  const memory = await lastKnown(dir);
  const aside = join(dir.root, `replaced-${new Date().toISOString().replace(/[:.]/g, "-")}`);
  for (const path of [dir.nats, dir.logState, dir.snapshots]) {
    if (!existsSync(path)) continue;
    await mkdir(aside, { recursive: true, mode: 0o700 });
    await rename(path, join(aside, basename(path)));
  }
  await mkdir(dir.nats, { recursive: true, mode: 0o700 });
  if (secrets !== undefined) {
    await writeFileAtomic(dir.clusterKey, `${secrets.clusterKey.trim()}\n`, 0o600);
    await writeFileAtomic(dir.adminToken, `${secrets.adminToken.trim()}\n`, 0o600);
    if (secrets.tlsKey !== undefined && secrets.tlsCertificate !== undefined) {
      // Whatever was signed by another authority goes with it.
      await rm(dir.tls.serverCertificate, { force: true });
      await writeFileAtomic(dir.tls.caKey, secrets.tlsKey, 0o600);
      await writeFileAtomic(dir.tls.caCertificate, secrets.tlsCertificate, 0o600);
    }
  }
  // For a start after a kill: by then the old log.state has been moved.
  if (memory > 0) await writeFileAtomic(`${dir.restore}.after`, `${memory}\n`, 0o600);
  logger.warn({ aside }, "restoring_a_backup");
};

const lastKnown = async (dir: DataDir): Promise<number> => {
  const text = await readFile(dir.logState, "utf8").catch(() => "");
  const noted = Number(await readFile(`${dir.restore}.after`, "utf8").catch(() => "0")) || 0;
  const known = /"lastSequence":(\d{1,16})/.exec(text)?.[1];
  return Math.max(noted, known === undefined ? 0 : Number(known));
};

export interface PendingRestore {
  /** The restored log's first transaction follows this one. */
  readonly beginAfter: number;
  readonly finish: (log: Log, snapshots: SnapshotStore, memory: LogMemory, cluster: string) => Promise<void>;
}

/** The backup that waits to become this cluster, or undefined. */
export const pendingRestore = async (dir: DataDir, nowMs: number): Promise<PendingRestore | undefined> => {
  if (!existsSync(dir.restore)) return undefined;
  const { header, image } = await readBackup(dir.restore);
  const beginAfter = Math.max(nowMs, header.revision + 1, (await lastKnown(dir)) + 1);
  return {
    beginAfter,
    finish: async (log, snapshots, memory, cluster) => {
      const end = await log.end();
      const state = createState();
      restoreImage(state, image);
      moveRevision(state, end.lastSequence);
      const chunks = encodeSnapshot(state, { cluster, incarnation: end.incarnation, nowMs });
      const { name } = await snapshots.write(end.lastSequence, chunks);
      const back = decodeSnapshot(await snapshots.read(name));
      if (!back.ok) throw new StartupProblem(`the restored snapshot does not read back: ${back.error}`);
      const { epoch } = header;
      const first: Transaction = {
        version: LOG_VERSION,
        epoch,
        atMs: nowMs,
        cause: "restore",
        origin: null,
        records: [{ kind: "log_restored", revision: header.revision, takenAtMs: header.takenAtMs }],
      };
      const outcome = await log.append(first, end.lastSequence);
      if (outcome.kind !== "appended") {
        const why = "reason" in outcome ? outcome.reason : "somebody else writes to it";
        throw new StartupProblem(`the restored log does not take its first transaction: ${why}; start again`);
      }
      await memory.remember(await log.end());
      await rm(dir.restore, { force: true });
      await rm(`${dir.restore}.after`, { force: true });
    },
  };
};
