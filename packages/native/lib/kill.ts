/** The number of a process that has ended and was reaped may be another's at any moment. */
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { binding } from "./binding.ts";
import { nativeError, NativeFailure } from "./errors.ts";

const { EINVAL, ENOENT, ESRCH } = constants.errno;

/** Kills whoever has this number now, if `isMeant` says of that one that it is; nobody who gets the number meanwhile. */
export const killIf = (pid: number, isMeant: () => boolean): void => {
  const pidfd = binding().pidfdOpen(pid);
  /* Nobody, or a thread of somebody else: ENOENT since Linux 6.16. */
  if (pidfd === -ESRCH || pidfd === -EINVAL || pidfd === -ENOENT) return;
  if (pidfd < 0) throw failure(-pidfd, `open process ${pid}`);
  try {
    const failed = isMeant() ? binding().pidfdKill(pidfd) : 0;
    if (failed < 0 && failed !== -ESRCH) throw failure(-failed, `kill process ${pid}`);
  } finally {
    closeSync(pidfd);
  }
};

const failure = (errno: number, detail: string): NativeFailure =>
  new NativeFailure(nativeError("cgroup.kill", errno, detail));
