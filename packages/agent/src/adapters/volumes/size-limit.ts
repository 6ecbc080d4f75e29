/** What a volume may hold, as a project quota of its directory: enforced by the kernel, whoever writes in a container. */
import { open } from "node:fs/promises";
import { canLimitTrees, limitTree } from "@berth/native";

export const canLimit = async (directory: string): Promise<boolean> => {
  const handle = await open(directory, "r");
  try {
    return canLimitTrees(handle.fd);
  } finally {
    await handle.close();
  }
};

/** Rejects with a sentence, also when there is more in it already. */
export const limitSize = async (data: string, bytes: number): Promise<void> => {
  const handle = await open(data, "r");
  try {
    const result = await limitTree(handle.fd, bytes);
    if (result.ok) return;
    const { code, detail } = result.error;
    throw new Error(
      code === "EDQUOT"
        ? `it does not fit into its size: ${detail}`
        : `its size cannot be enforced: ${detail} (${code})`,
      { cause: result.error },
    );
  } finally {
    await handle.close();
  }
};
