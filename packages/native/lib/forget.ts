/**
 * The usual end of a container: its supervisor is waited for and reaped, and its directory deleted or, when
 * nothing is in it, put aside to be deleted in a moment, in one step of the pool.
 * A supervisor that ends takes a moment, for which a thread of the pool waits. One that stands still must not keep those
 * few threads from everything else, so it is only looked at again and again.
 */
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "./child.ts";
import { nativeError, NativeFailure } from "./errors.ts";
import { isErrno, type Host } from "./host.ts";

export const LOCK_WAIT_MS = 10_000;
/** Within this a supervisor has ended that has told the end. */
const USUAL_MS = 100;

export interface Forgotten {
  readonly id: string;
  /** Undefined: its supervisor is no child of ours. */
  readonly child: Child | undefined;
  /** Where its cgroups are: while one is there, all stays as it is. */
  paths(): readonly string[];
  /** What the exit status of the supervisor says of them is all there is to know. */
  readonly vouches: boolean;
}

/** Resolves to the lock when cgroups are or may be there, to be closed by who asked. */
export const forget = async (host: Host, what: Forgotten): Promise<number | undefined> => {
  const deadline = performance.now() + LOCK_WAIT_MS;
  for (let patienceMs = USUAL_MS, pauseMs = 10; ; patienceMs = 1, pauseMs = Math.min(pauseMs * 2, 500)) {
    try {
      return await forgetWithin(host, what, patienceMs);
    } catch (cause) {
      const stands = isErrno(cause, constants.errno.EWOULDBLOCK);
      if (!stands || host.isClosed() || performance.now() >= deadline) throw cause;
      await sleep(pauseMs);
      if (host.isClosed()) throw cause;
    }
  }
};

const forgetWithin = async (host: Host, what: Forgotten, patienceMs: number): Promise<number | undefined> => {
  const { id, child } = what;
  const vouches = what.vouches && child?.isWaitedFor === false;
  const paths = vouches ? [] : what.paths();
  const trash = host.trashName(id);
  const attempt = (pid: number) =>
    host.binding.forget(host.stateRoot, id, trash, patienceMs, paths, pid, vouches).then((result) => {
      if (typeof result !== "object") return result;
      throw new NativeFailure(nativeError(result.stage, result.errno, result.detail));
    });
  const result = await (child?.waitedForBy(attempt) ?? attempt(0));
  if (result === false) await host.sweeper.add(trash);
  return typeof result === "number" ? result : undefined;
};
