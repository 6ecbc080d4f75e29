/**
 * How much of this host's store the images of one project may take that are made of its containers: whoever may submit
 * jobs may make them, and they are never collected. What is there already stays, whatever the limits say by now.
 *
 * A layer counts once for every project that holds it. It does not count when an image of no project has it as well (one
 * of a registry, `oci://local/app:1`): that one keeps it anyway. What other projects hold is no excuse, or two of them
 * could hold it for each other.
 */
import { isOfProject, projectOfImage } from "@berth/schema";
import type { Parts } from "./parts.ts";

export interface ProjectLimits {
  readonly count: number;
  readonly bytes: number;
}

/** A hundred images, and 20 GiB on top of the images that belong to no project. */
export const DEFAULT_PROJECT_LIMITS: ProjectLimits = { count: 100, bytes: 20 * 2 ** 30 };

interface Named {
  readonly name: string;
  readonly diffIds: readonly string[];
}

/** Layers that are in the store for this project: of its images, and of `more`, that one of it is about to have. */
export const layersHeldBy = (project: string, images: readonly Named[], more: readonly string[]): string[] => {
  const common = new Set(images.flatMap(({ diffIds, name }) => (projectOfImage(name) === undefined ? diffIds : [])));
  const own = images.flatMap(({ diffIds, name }) => (isOfProject(name, project) ? diffIds : []));
  return [...new Set([...own, ...more])].filter((diffId) => !common.has(diffId));
};

/**
 * Bytes that a new uppermost layer of this image, over the layers of `base`, may have. Rejects with a sentence when there
 * is no room at all.
 */
export const roomFor = async (
  { layers, records, settings }: Parts,
  name: string,
  base: readonly string[],
): Promise<number> => {
  const project = projectOfImage(name);
  if (project === undefined) return Number.MAX_SAFE_INTEGER;
  const { projectImages } = await settings();
  const others = (await records.list()).images.map(({ record }) => record).filter((one) => one.name !== name);
  const count = others.filter((one) => isOfProject(one.name, project)).length;
  const what = `images and snapshots of ${project} on this host`;
  const next = "remove some that nobody needs, or have projectImages in images.json raised";
  if (count >= projectImages.count) {
    throw new Error(`there are ${count} ${what}, at most ${projectImages.count} are kept: ${next}`);
  }
  let bytes = 0;
  for (const diffId of layersHeldBy(project, others, base)) bytes += (await layers.seal(diffId))?.bytes ?? 0;
  if (bytes >= projectImages.bytes) {
    throw new Error(`the ${what} take ${bytes} bytes, at most ${projectImages.bytes} are kept: ${next}`);
  }
  return projectImages.bytes - bytes;
};
