/** The images this host has: the built-in busybox, made from the host's own static binary at the first start. */
import { join } from "node:path";
import { ensureBusyboxRootfs } from "@berth/native";
import type { Images } from "../ports/host.ts";

export const openImages = async (directory: string): Promise<Images> => {
  const busybox = join(directory, "busybox");
  await ensureBusyboxRootfs(busybox);
  return {
    layersOf: (image) => Promise.resolve(image === "builtin://busybox" ? [busybox] : undefined),
  };
};
