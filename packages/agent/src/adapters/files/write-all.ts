/**
 * All of some bytes into an open file. write(2) takes fewer when a disk becomes full in the middle of them, and says so only
 * with the next call: whoever goes on after such a one leaves a hole.
 */
import type { FileHandle } from "node:fs/promises";

/** From `at` on; fails with what the kernel says, ENOSPC among others, when not all of it is taken. */
export const writeAll = async (file: Pick<FileHandle, "write">, bytes: Uint8Array, at: number): Promise<void> => {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
};
