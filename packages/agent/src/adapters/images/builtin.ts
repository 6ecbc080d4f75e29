/** The image that needs nothing: busybox, made from the host's own static binary at the first start. */
import { join } from "node:path";
import { ensureBusyboxRootfs } from "@berth/native";

/** Its one layer. */
export const ensureBuiltin = async (directory: string): Promise<string> => {
  const busybox = join(directory, "busybox");
  await ensureBusyboxRootfs(busybox);
  return busybox;
};
