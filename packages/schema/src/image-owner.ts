/**
 * Whose images are: names of the cluster itself, `oci://local/PROJECT/…`, may be made by whoever may submit jobs of that
 * project. All other names are made by operators. Jobs of every project may run all of them, but for
 * snapshots, from which only jobs of their own project start.
 */
import { isLabel, type ProjectName } from "./ids.ts";
import { parseImageReference } from "./image-reference.ts";

/** The project that a name of the cluster belongs to; undefined for any other, and for one without a folder. */
export const projectOfImage = (image: string): ProjectName | undefined => {
  const parsed = parseImageReference(image);
  if (!parsed.ok || parsed.value.registry !== "local") return undefined;
  const [project, ...rest] = parsed.value.repository.split("/");
  return rest.length > 0 && project !== undefined && isLabel(project) ? (project as ProjectName) : undefined;
};

export const isOfProject = (image: string, project: string): boolean => projectOfImage(image) === project;
