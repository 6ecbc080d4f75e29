/** Keys that a host makes for itself and that never leave it: made once, whoever asks first. */
import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { hasCode, isMissing, syncDirectory } from "./atomic-file.ts";

/** What the file holds, or what `make` gives, kept from then on (mode 0600). Two callers at the same time get the same. */
export const readOrMake = async (path: string, make: () => string): Promise<string> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const existing = await readIfThere(path);
  if (existing !== undefined) return existing;
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(`${make().trim()}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    // A link, not a rename: it never replaces the key that somebody else has made meanwhile.
    await link(temporary, path);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(dirname(path));
  return await readFile(path, "utf8");
};

const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
};
