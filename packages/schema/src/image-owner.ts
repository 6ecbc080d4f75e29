/**
 * Whose images are: names of the cluster itself, `oci://local/PROJECT/…`, may be made by whoever may submit jobs of that
 * project. Its snapshots, `oci://local/PROJECT/snapshots:NAME`, are for its own jobs only: they hold what its containers
 * wrote. All other names are made by operators, and run by everybody.
 */
import { formatImageReference, parseImageReference } from "./image-reference.ts";

const LOCAL = "local";
const SNAPSHOTS = "snapshots";

const partsOf = (
  image: string,
): { readonly parts: readonly string[]; readonly tag: string | undefined } | undefined => {
  const parsed = parseImageReference(image);
  if (!parsed.ok || parsed.value.registry !== LOCAL) return undefined;
  return { parts: parsed.value.repository.split("/"), tag: parsed.value.tag };
};

export const isOfProject = (image: string, project: string): boolean => {
  const found = partsOf(image);
  return found !== undefined && found.parts.length > 1 && found.parts[0] === project;
};

/** The image that a snapshot is. */
export const snapshotImage = (project: string, name: string): string =>
  formatImageReference({
    ...{ registry: LOCAL, repository: `${project}/${SNAPSHOTS}`, target: name, tag: name, digest: undefined },
  });

/** Undefined for every image that is no snapshot. */
export const snapshotOf = (image: string): { readonly project: string; readonly name: string } | undefined => {
  const found = partsOf(image);
  const [project, kind, ...more] = found?.parts ?? [];
  if (project === undefined || kind !== SNAPSHOTS || more.length > 0) return undefined;
  return { project, name: found?.tag ?? "" };
};
