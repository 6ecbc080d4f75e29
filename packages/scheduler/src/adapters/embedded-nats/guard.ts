/**
 * Watches the embedded server's disk and its breath. A nats-server of 2.9 whose disk is full hangs in the middle of a
 * write and answers nothing more, even when there is room again (measured): it must be killed and started anew, which
 * loses nothing that was acknowledged. Before it comes to that, users' writes are refused while little room is left.
 */
import { statfs } from "node:fs/promises";
import type { Logger } from "pino";
import type { BusConnection } from "../nats/connection.ts";

export interface StoreGuard {
  /** A sentence while there is too little room to take more; undefined: all is well. */
  readonly complaint: () => string | undefined;
  readonly close: () => void;
}

/** Below this nothing new is taken; what runs still needs room for its reports. */
const RESERVE_BYTES = 16 * 2 ** 20;
const LOOK_MS = 1_000;
const PROBE_EVERY = 5;
const PROBE_MS = 4_000;
/** Probes in a row that failed: of a server whose disk was full, and of one that hangs for another reason. */
const FAILURES_AFTER_FULL = 1;
const FAILURES = 8;

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`;

export const guardStore = (options: {
  readonly directory: string;
  readonly bus: BusConnection;
  /** Kills the server; its successor comes by itself. */
  readonly kill: () => void;
  readonly log: Logger;
}): StoreGuard => {
  const { directory, bus, log } = options;
  let freeBytes = Number.POSITIVE_INFINITY;
  let wasFull = false;
  let failures = 0;
  let looks = 0;
  let busy = false;

  const probe = async (): Promise<void> => {
    try {
      await bus.nats.request("$JS.API.STREAM.INFO.LOG", "", { timeout: PROBE_MS });
      failures = 0;
      if (freeBytes >= RESERVE_BYTES) wasFull = false;
    } catch {
      failures += 1;
    }
    const isHung = failures >= (wasFull ? FAILURES_AFTER_FULL : FAILURES);
    // Without room the next one would hang as well.
    if (!isHung || freeBytes < RESERVE_BYTES) return;
    log.error({ failures, freeBytes }, "nats_server_hangs");
    failures = 0;
    options.kill();
  };

  const look = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      const { bavail, bsize } = await statfs(directory);
      const before = freeBytes;
      freeBytes = bavail * bsize;
      if (freeBytes < RESERVE_BYTES) wasFull = true;
      if (freeBytes < RESERVE_BYTES !== before < RESERVE_BYTES)
        log.warn({ freeBytes, directory }, freeBytes < RESERVE_BYTES ? "disk_full" : "disk_has_room");
      looks += 1;
      if (wasFull || looks % PROBE_EVERY === 0) await probe();
    } catch (error) {
      log.warn({ err: error, directory }, "store_not_watched");
    } finally {
      busy = false;
    }
  };

  const timer = setInterval(() => void look(), LOOK_MS);
  timer.unref();
  return {
    complaint: () =>
      freeBytes < RESERVE_BYTES
        ? `the disk under ${directory} has ${mebibytes(freeBytes)} left, less than ${mebibytes(RESERVE_BYTES)}; make room: it is looked at every second`
        : undefined,
    close: () => clearInterval(timer),
  };
};
