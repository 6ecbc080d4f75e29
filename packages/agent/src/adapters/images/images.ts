/** Every image that a job may name, by its scheme. Decides where an image comes from and nothing else. */
import { join } from "node:path";
import { BUILTIN_IMAGE, isImageReference } from "@berth/schema";
import type { ClusterImages, Images } from "../../ports/images.ts";
import { ensureBuiltin } from "./builtin.ts";
import { openImageSettings } from "./image-settings.ts";
import { openRegistrySettings } from "./registry-settings.ts";
import { openOciStore } from "./store.ts";

export interface ImageFiles {
  /** The store. */
  readonly directory: string;
  /** Written by the operator; both may be absent. */
  readonly registries: string;
  readonly settings: string;
}

export const openImages = async (
  { directory, registries, settings }: ImageFiles,
  cluster: ClusterImages,
  buildIds: number,
): Promise<Images> => {
  const busybox = await ensureBuiltin(directory);
  const store = await openOciStore(
    join(directory, "oci"),
    openRegistrySettings(registries),
    openImageSettings(settings),
    cluster,
    buildIds,
  );
  return {
    prepare: async (image, holder, options) => {
      if (image !== BUILTIN_IMAGE && !isImageReference(image)) {
        return { ok: false, error: `${image} is not available on this host` };
      }
      try {
        const prepared =
          image === BUILTIN_IMAGE
            ? store.prepareTree(image, busybox, holder, options)
            : store.prepare(image, holder, options);
        return { ok: true, value: await prepared };
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        return { ok: false, error: reason.includes(image) ? reason : `${image}: ${reason}` };
      }
    },
    release: (holder) => store.release(holder),
    unmount: (holder) => store.unmount(holder),
    holders: () => store.holders(),
    layersOf: (image, holder) => (image === BUILTIN_IMAGE ? [busybox] : store.layersOf(holder)),
    excess: () => store.excess(),
    collect: async () => (await store.collect()).freedBytes,
    ...store.facts,
    bringing: (image) => (isImageReference(image) ? store.bringing(image) : []),
    verbs: store,
  };
};
