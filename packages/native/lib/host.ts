/** What the containers of one runtime share, and what needs nothing else: reaching one, removing one. */
import { Socket } from "node:net";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Binding } from "./binding.ts";
import type { ControlConnection } from "./control.ts";
import { nativeError, NativeFailure } from "./errors.ts";
import type { Sweeper } from "./sweeper.ts";
import { underWay } from "./under-way.ts";

/** What containers share: one per runtime. */
export interface Host {
  readonly binding: Binding;
  readonly stateDir: string;
  readonly stateRoot: number;
  readonly bootId: string;
  /** Connections of containers that are followed. */
  readonly connections: Set<ControlConnection>;
  /** Open watches, of containers and of the machine. */
  readonly watches: Set<{ close(): void }>;
  isClosed(): boolean;
  /** Those under way. */
  readonly removals: Set<Promise<unknown>>;
  readonly sweeper: Sweeper;
  /** Names a deleted directory that nobody will look at again. */
  trashName(id: string): string;
}

/** Runs a removal, for which the descriptors stay open; once the runtime is closed, none begins. */
export const removing = async (host: Host, work: () => Promise<void>): Promise<void> => {
  if (host.isClosed())
    throw new NativeFailure(nativeError("state.remove", constants.errno.ECANCELED, "the runtime is closed"));
  await underWay(host.removals, work());
};

/**
 * Moves the directory away in one step, so that no half-deleted one is ever taken for one never started; deletes it, and
 * closes the lock that was held meanwhile.
 */
export const discard = async (host: Host, id: string, lock = -1): Promise<void> => {
  const failed = await host.binding.discard(host.stateRoot, id, host.trashName(id), lock);
  if (failed !== undefined) throw new NativeFailure(nativeError(failed.stage, failed.errno, failed.detail));
};

/** A new connection to the supervisor of a container: a descriptor. */
export const dial = (host: Host, id: string): number => {
  const socket = host.binding.dial(host.stateRoot, id);
  if (socket >= 0) return socket;
  throw new NativeFailure(nativeError("control", -socket, `the supervisor of ${id} cannot be reached`));
};

/** The same for a stream of bytes. */
export const dialStream = (host: Host, id: string): Socket =>
  new Socket({ fd: dial(host, id), readable: true, writable: true });

export const isErrno = (cause: unknown, errno: number): boolean =>
  cause instanceof NativeFailure && cause.error.errno === errno;

/** Does not keep the process alive. */
export const unrefSleep = async (ms: number): Promise<undefined> => {
  await sleep(ms, undefined, { ref: false });
  return undefined;
};
