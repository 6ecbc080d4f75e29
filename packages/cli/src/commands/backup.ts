/** `berth backup`: the whole cluster in one file, made while it runs. What the file says of itself is checked before it counts. */
import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { formatBytes, Routes } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say } from "../io.ts";
import { clientOf, withConnection, withExamples, type Register } from "./verb.ts";

/** The last line of a backup names the SHA-256 of all before it. */
const END = /^\{"kind":"end","lines":(\d+),"sha256":"([0-9a-f]{64})"\}\n$/;

export const registerBackup: Register = (program, { io, finish }) => {
  const command = program
    .command("backup")
    .argument("<file>", "where to write it; it holds the cluster's secrets")
    .description("write the whole cluster into one file")
    .action(async (file: string, options: ConnectionOptions) => {
      const body = await clientOf(io, options).stream(Routes.backup, { signal: io.stop });
      const bytes = await writeWhole(file, body);
      await say(io, `Wrote ${file} (${formatBytes(bytes)}). It holds the cluster's key and token: keep it safe.`);
      finish(Exit.ok);
    });
  withExamples(withConnection(command), [
    ["berth backup berth.backup", "jobs, hosts, keys; not volumes or outputs"],
    ["berth backup /mnt/safe/$(date +%F).backup", "one a day, for cron"],
  ]);
};

/** Beside its place first: a backup that was there is replaced by a whole one or not at all. */
const writeWhole = async (file: string, body: AsyncIterable<unknown>): Promise<number> => {
  const part = `${file}.part-${process.pid}`;
  const hash = createHash("sha256");
  let size = 0;
  let tail = Buffer.alloc(0);
  try {
    const out = await open(part, "w", 0o600);
    try {
      for await (const piece of body) {
        const bytes = piece as Buffer;
        await out.writeFile(bytes);
        size += bytes.length;
        const all = Buffer.concat([tail, bytes]);
        // All but the last line, which may still be the end.
        const lastLine = all.lastIndexOf(10, all.length - 2) + 1;
        hash.update(all.subarray(0, lastLine));
        tail = all.subarray(lastLine);
      }
      if (END.exec(tail.toString())?.[2] !== hash.digest("hex")) throw new Error("it came incomplete or damaged");
      await out.sync();
    } finally {
      await out.close();
    }
    await rename(part, file);
    const directory = await open(dirname(file), "r");
    await directory.sync().finally(() => directory.close());
    return size;
  } catch (error) {
    await rm(part, { force: true });
    throw new Failure(`Cannot write the backup ${file}`, {
      exit: Exit.failed,
      detail: error instanceof Error ? error.message : String(error),
      next: ["the same command again"],
      cause: error,
    });
  }
};
