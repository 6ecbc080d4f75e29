/**
 * Keeps the log short: writes a snapshot now and then, reads it back, and only then lets go of the log behind the oldest of
 * the kept ones. At the start, the newest snapshot that proves itself takes the place of
 * the log before it.
 *
 * Followers do it, so that the leader need not pause for it; a leader only when it is alone, or nobody did it for long.
 * It may be done twice at a time: snapshots have names of their own, and a log is only ever cut behind one that was read.
 */
import type { Logger } from "pino";
import { restoreImage, type ClusterState } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log, LogEnd } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshots.ts";
import { StartupProblem } from "../ports/startup-problem.ts";
import { decodeSnapshot, encodeSnapshot, type DecodedSnapshot } from "./snapshot-format.ts";

export interface SnapshotFilesPort {
  readonly list: () => Promise<readonly string[]>;
  readonly read: (path: string) => Promise<readonly Uint8Array[]>;
  readonly write: (revision: number, chunks: readonly Uint8Array[]) => Promise<string>;
}

export interface SnapshotLimits {
  /** A snapshot is due after this many transactions, */
  readonly transactions: number;
  /** or when this time has passed and there was any, */
  readonly everyMs: number;
  /** or when the log takes this much on disk. */
  readonly logBytes: number;
}

export const SNAPSHOT_LIMITS: SnapshotLimits = { transactions: 10_000, everyMs: 600_000, logBytes: 256 * 2 ** 20 };

export interface SnapshotOptions {
  readonly state: ClusterState;
  readonly cluster: string;
  readonly log: Log;
  readonly store: SnapshotStore;
  readonly files: SnapshotFilesPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: SnapshotLimits;
  /** What is known of the log's end; undefined before it was read. */
  readonly end: () => LogEnd | undefined;
  /** The log has been read to its end. */
  readonly isReady: () => boolean;
  readonly isLeading: () => boolean;
  readonly isAlone: boolean;
}

export interface Snapshots {
  /** Fills the empty state from the newest snapshot that fits between both ends of the log. */
  readonly restore: (end: LogEnd) => Promise<void>;
  /** Takes a snapshot if one is due. Never rejects. */
  readonly tick: () => Promise<void>;
  /** Takes one now. */
  readonly take: () => Promise<void>;
  /** The newest that was written or found, or 0. */
  readonly newest: () => number;
}

const KEPT = 3;
const LOOK_EVERY_MS = 10_000;
const RETRY_MS = 60_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const createSnapshots = (options: SnapshotOptions): Snapshots => {
  const { state, log, store, files, clock, logger, limits } = options;
  let newest = 0;
  let newestAtMs = clock.monotonicMs();
  let lookAtMs = 0;
  let busy = false;

  /** What can be read of it, or why nothing can. */
  const load = async (read: () => Promise<readonly Uint8Array[]>, end: LogEnd): Promise<DecodedSnapshot | string> => {
    let chunks: readonly Uint8Array[];
    try {
      chunks = await read();
    } catch (error) {
      return messageOf(error);
    }
    const decoded = decodeSnapshot(chunks);
    if (!decoded.ok) return decoded.error;
    const { revision, incarnation } = decoded.value.header;
    if (incarnation !== end.incarnation) return "it is of another log";
    if (revision > end.lastSequence) return `it goes up to ${revision}, the log only to ${end.lastSequence}`;
    if (revision + 1 < end.firstSequence) return `it ends at ${revision}, the log begins at ${end.firstSequence}`;
    return decoded.value;
  };

  const restore = async (end: LogEnd): Promise<void> => {
    const stored = (await store.list()).map(({ name }) => ({ name, read: () => store.read(name) }));
    const plain = (await files.list()).map((path) => ({ name: path, read: () => files.read(path) }));
    const reasons: string[] = [];
    for (const { name, read } of [...stored, ...plain]) {
      const loaded = await load(read, end);
      if (typeof loaded === "string") {
        reasons.push(`${name}: ${loaded}`);
        logger.warn({ snapshot: name, reason: loaded }, "snapshot_not_usable");
        continue;
      }
      restoreImage(state, loaded.image);
      newest = loaded.header.revision;
      logger.info({ snapshot: name, revision: newest }, "snapshot_restored");
      return;
    }
    if (end.firstSequence <= 1) return;
    throw new StartupProblem(
      `the log begins at ${end.firstSequence}, and no snapshot covers what came before (${reasons.slice(0, 3).join("; ") || "there is none"}); restore a backup with: berth restore FILE`,
    );
  };

  const isDue = async (): Promise<boolean> => {
    const nowMs = clock.monotonicMs();
    const end = options.end();
    if (!options.isReady() || end === undefined || state.revision === newest || nowMs < lookAtMs) return false;
    const patience = options.isLeading() && !options.isAlone ? 2 : 1;
    const transactions = state.revision - newest;
    const isOld = nowMs - newestAtMs >= patience * limits.everyMs;
    if (transactions >= patience * limits.transactions || isOld) return true;
    lookAtMs = nowMs + LOOK_EVERY_MS;
    const { bytes } = await log.end();
    return bytes >= patience * limits.logBytes && transactions >= limits.transactions / 100;
  };

  /** Somebody else may have taken one meanwhile. */
  const learn = async (): Promise<void> => {
    const [found] = await store.list();
    if (found === undefined || found.revision <= newest) return;
    newest = found.revision;
    newestAtMs = clock.monotonicMs();
  };

  const take = async (): Promise<void> => {
    const end = options.end();
    if (end === undefined || busy) return;
    busy = true;
    try {
      const { revision } = state;
      const { cluster } = options;
      const chunks = encodeSnapshot(state, { cluster, incarnation: end.incarnation, nowMs: clock.nowMs() });
      const written = await store.write(revision, chunks);
      // Read back, and proven by its checksums: a snapshot that was never read is a hope.
      const back = await load(() => store.read(written.name), { ...end, lastSequence: revision });
      if (typeof back === "string") {
        await store.remove(written.name);
        throw new Error(`the snapshot does not read back: ${back}`);
      }
      await files
        .write(revision, chunks)
        .catch((error: unknown) => logger.warn({ err: error }, "snapshot_file_failed"));
      newest = Math.max(newest, revision);
      newestAtMs = clock.monotonicMs();
      const kept = await store.list();
      for (const old of kept.slice(KEPT)) await store.remove(old.name);
      const oldest = kept[KEPT - 1];
      if (oldest !== undefined) {
        await log.purgeBefore(oldest.revision + 1);
        await store.sweep(oldest.revision);
      }
      logger.info({ revision, bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0) }, "snapshot_taken");
    } finally {
      busy = false;
    }
  };

  return {
    restore,
    take,
    newest: () => newest,
    tick: async () => {
      if (busy) return;
      try {
        if (!(await isDue())) return;
        await learn();
        lookAtMs = 0;
        if (await isDue()) await take();
      } catch (error) {
        lookAtMs = clock.monotonicMs() + RETRY_MS;
        logger.error({ err: error }, "snapshot_failed");
      }
    },
  };
};
