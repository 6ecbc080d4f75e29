/** Failures of the runtime, as plain data. */

/** A failure of the runtime: which step, which errno (0 when the kernel was not involved), and what it was about. */
export interface NativeError {
  /** Dotted name of the step: `cgroup.create`, `mount.proc`, `exec` … */
  readonly stage: string;
  readonly errno: number;
  /** Symbolic errno, e.g. `ENOSPC`; empty when errno is 0. */
  readonly code: string;
  readonly detail: string;
}
