/** Small files that are whole at every instant: written beside their place, synced, renamed. */
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

export const writeFileAtomic = async (
  path: string,
  content: string | readonly Uint8Array[],
  mode: number,
): Promise<void> => {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w", mode);
  try {
    // A left-over of a crash keeps its old mode: secrets must not inherit it.
    await file.chmod(mode);
    if (typeof content === "string") await file.writeFile(content);
    else for (const chunk of content) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};

export const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
};
