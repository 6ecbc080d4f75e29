/**
 * How much of this host's store the images of one project may take that are made of its containers: whoever may submit
 * jobs may make them, and they are never collected. What is there already stays, whatever the limits say by now.
 */
import { isOfProject, parseImageReference } from "@berth/schema";
import type { Parts } from "./parts.ts";

export interface ProjectLimits {
  readonly count: number;
  readonly bytes: number;
}

/** A hundred images, and 20 GiB on top of the images that their containers were started from. */
export const DEFAULT_PROJECT_LIMITS: ProjectLimits = { count: 100, bytes: 20 * 2 ** 30 };

/** Of which project a name of the cluster is; undefined for any other. */
const projectOf = (image: string): string | undefined => {
  const reference = parseImageReference(image);
  const project = reference.ok ? reference.value.repository.split("/")[0] : undefined;
  return project !== undefined && isOfProject(image, project) ? project : undefined;
};

/** Bytes that a new uppermost layer of this image may have. Rejects with a sentence when there is no room at all. */
export const roomFor = async ({ layers, records, settings }: Parts, name: string): Promise<number> => {
  const project = projectOf(name);
  if (project === undefined) return Number.MAX_SAFE_INTEGER;
  const { projectImages } = await settings();
  const others = (await records.list()).images
    .map(({ record }) => record)
    .filter((one) => one.source === "import" && one.name !== name && isOfProject(one.name, project));
  const uppermost = new Set(others.flatMap(({ diffIds }) => diffIds.slice(-1)));
  let bytes = 0;
  for (const diffId of uppermost) bytes += (await layers.seal(diffId))?.bytes ?? 0;
  const what = `images and snapshots of ${project} on this host`;
  const next = "remove some that nobody needs, or have projectImages in images.json raised";
  if (others.length >= projectImages.count) {
    throw new Error(`there are ${others.length} ${what}, at most ${projectImages.count} are kept: ${next}`);
  }
  if (bytes >= projectImages.bytes) {
    throw new Error(`the ${what} take ${bytes} bytes, at most ${projectImages.bytes} are kept: ${next}`);
  }
  return projectImages.bytes - bytes;
};
