/** Failures of the runtime as values, and as an Error where an interface can only reject. */
import { constants } from "node:os";
import type { NativeError } from "./types.ts";

/** EAGAIN has a second name, which nobody expects of a fork or a mkdir. */
const names = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => name !== "EWOULDBLOCK")
    .map(([name, number]) => [number, name]),
);

export const nativeError = (stage: string, errno: number, detail: string): NativeError => ({
  stage,
  errno,
  code: errno === 0 ? "" : (names.get(errno) ?? `E${errno}`),
  detail,
});

/** Makes `cause` (usually an Error of node:fs, whose errno is negative) a failure of this stage. */
export const fromSystemError = (stage: string, cause: unknown, detail: string): NativeError => {
  const errno =
    cause instanceof Error && "errno" in cause && typeof cause.errno === "number" ? Math.abs(cause.errno) : 0;
  return nativeError(stage, errno, errno === 0 ? `${detail}: ${String(cause)}` : detail);
};

/** What `stop`, `signal` and `remove` reject with. */
export class NativeFailure extends Error {
  override readonly name = "NativeFailure";
  readonly error: NativeError;

  constructor(error: NativeError) {
    super(`${error.stage}: ${error.detail}${error.code === "" ? "" : ` (${error.code})`}`);
    this.error = error;
  }
}

export const hasCode = (cause: unknown, ...codes: readonly string[]): boolean =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" && codes.includes(cause.code);
