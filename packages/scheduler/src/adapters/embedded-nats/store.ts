/**
 * The directory that JetStream writes to. nats-server before 2.10 acknowledges a write once it is in the page cache and
 * syncs every two minutes, which cannot be configured: a power cut may take two minutes of acknowledged transactions.
 * The synchronous attribute of ext4 closes that gap: every write waits for the disk. It costs about twice the time per
 * serial append (0.3 → 0.6 ms), which a scheduler that batches can afford; pipelined writes cost five times as much.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, statfs } from "node:fs/promises";
import { promisify } from "node:util";

const EXT_MAGIC = 0xef53;

/** Makes the directory and, where it can, its writes durable. Returns a warning when a power cut may lose transactions. */
export const prepareStore = async (directory: string, serverSyncs: boolean): Promise<string | undefined> => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  if (serverSyncs) return undefined;
  const loss = "a power cut may lose up to two minutes of acknowledged transactions";
  if (process.getuid?.() !== 0) return `not root, so the store is not written synchronously: ${loss}`;
  if ((await statfs(directory)).type !== EXT_MAGIC)
    return `${directory} is not on ext4, so it is not written synchronously: ${loss}`;
  try {
    // What is made from here on inherits it; what a copy of the directory brought with it does not have it.
    await promisify(execFile)("chattr", ["-R", "+S", directory], { timeout: 30_000 });
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message.trim() : String(error);
    return `the store could not be made synchronous (${why}): ${loss}`;
  }
};
