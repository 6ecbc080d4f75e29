/**
 * A copy of a tree as it is: owners, modes, times, extended attributes, hard links, holes; blocks are shared where the file
 * system can. By cp(1), which knows all of these; nothing here is on the way of a start.
 */
import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const MAX_SAID = 65_536;

/** `to` is a directory that is there and empty. On disk when this resolves; rejects with what cp said first. */
export const copyTree = async (from: string, to: string): Promise<void> => {
  try {
    await run("cp", ["--archive", "--reflink=auto", "--no-target-directory", "--", from, to], { maxBuffer: MAX_SAID });
    await run("sync", ["--file-system", "--", to]);
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? (String(cause.stderr).split("\n")[0] ?? "") : "";
    throw new Error(said === "" && cause instanceof Error ? cause.message : said, { cause });
  }
  const directory = await open(to, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};
