/** Names of the cluster, given to images by whoever made them. */
import {
  clusterNameOf,
  projectOfImage,
  type ImageNamed,
  type NameImage,
  type Origin,
  type Problem,
  type Result,
} from "@berth/schema";
import { decideImageName, type Need } from "../core/index.ts";
import type { Engine } from "./engine.ts";
import { writeRecords } from "./write.ts";

export interface ImageNames {
  readonly nameImage: (name: NameImage, origin: Origin) => Promise<Result<ImageNamed, Problem>>;
}

/** Names of a project are made by whoever may submit jobs of it, all others by operators. */
export const needToName = (image: string): Need => {
  const project = projectOfImage(image);
  return project === undefined ? { role: "operator" } : { role: "submitter", project };
};

export const createImageNames = (engine: Engine): ImageNames => ({
  nameImage: async (name, origin) => {
    const need = needToName(name.image);
    const decide: Parameters<typeof writeRecords>[4] = (now) => decideImageName(now, name, origin.who);
    const done = await writeRecords(engine, "image name", origin, need, decide);
    if (!done.ok) return done;
    const image = clusterNameOf(name.image) ?? name.image;
    return { ok: true, value: { image, manifest: name.manifest, revision: done.value } };
  },
});
