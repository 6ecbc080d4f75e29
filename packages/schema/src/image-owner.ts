/**
 * Whose images are: names of the cluster itself, `oci://local/PROJECT/…`, may be made by whoever may submit jobs of that
 * project. All other names are made by operators, also those of distributions, whatever a project is called. Jobs of every
 * project may run all of them, but for snapshots, from which only jobs of their own project start.
 */
import { DISTRO_REPOSITORY, LOCAL_REGISTRY } from "./distro-reference.ts";
import { isLabel, type ProjectName } from "./ids.ts";
import { parseImageReference } from "./image-reference.ts";

/** The project that a name of the cluster belongs to; undefined for any other, and for one without a folder. */
export const projectOfImage = (image: string): ProjectName | undefined => {
  const parsed = parseImageReference(image);
  if (!parsed.ok || parsed.value.registry !== LOCAL_REGISTRY) return undefined;
  const { repository } = parsed.value;
  if (repository === DISTRO_REPOSITORY) return undefined;
  const [project, ...rest] = repository.split("/");
  return rest.length > 0 && project !== undefined && isLabel(project) ? (project as ProjectName) : undefined;
};

export const isOfProject = (image: string, project: string): boolean => projectOfImage(image) === project;
