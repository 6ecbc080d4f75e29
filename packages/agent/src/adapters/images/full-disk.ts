/** Failures for want of room on the disk of the image store, told from others and in words. */
import { hasCode } from "../files/atomic-file.ts";

const FULL = ["ENOSPC", "EDQUOT"] as const;

export const DISK_IS_FULL = "the disk of the image store is full";

export const isFullCode = (code: unknown): boolean => code === "ENOSPC" || code === "EDQUOT";

/** Also when that is only its cause, which has said so in a code. */
export const isFull = (error: unknown): boolean => {
  if (hasCode(error, ...FULL)) return true;
  const cause = error instanceof Error ? error.cause : undefined;
  return typeof cause === "object" && cause !== null && "code" in cause && isFullCode(cause.code);
};

/** The same failure, which says in words that the disk is full if that is what it means. */
export const explained = (error: unknown): unknown =>
  hasCode(error, ...FULL) ? new Error(DISK_IS_FULL, { cause: error }) : error;
