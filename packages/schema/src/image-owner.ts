/**
 * Whose images are: names of the cluster itself, `oci://local/PROJECT/…`, may be made by whoever may submit jobs of that
 * project. All other names are made by operators. Jobs of every project may run all of them, but for
 * snapshots, from which only jobs of their own project start.
 */
import { parseImageReference } from "./image-reference.ts";

export const isOfProject = (image: string, project: string): boolean => {
  const parsed = parseImageReference(image);
  if (!parsed.ok || parsed.value.registry !== "local") return false;
  const parts = parsed.value.repository.split("/");
  return parts.length > 1 && parts[0] === project;
};
