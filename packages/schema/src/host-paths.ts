/**
 * Which paths of this host jobs may mount: none, unless the operator says so. `PREFIX`, `PREFIX:ro`, and with a project in
 * front, `PROJECT=PREFIX`, for it alone. What is compared is the path as written; that no symbolic link leads out of it
 * is the runtime's to see to, which resolves sources with openat2(2) and RESOLVE_NO_SYMLINKS.
 */
import Type, { type Static } from "#typebox";
import { isLabel, ProjectNameSchema, type ProjectName } from "./ids.ts";
import { isNormal } from "./paths.ts";
import { err, ok, type Result } from "./result.ts";

/** A host says of itself so many at most. */
export const MAX_HOST_PATHS = 64;
const MAX_PREFIX = 256;

export const AllowedPathSchema = Type.Object(
  {
    /** Absent: every project. */
    project: Type.Optional(ProjectNameSchema),
    prefix: Type.String({ maxLength: MAX_PREFIX }),
    readOnly: Type.Boolean(),
  },
  { additionalProperties: false },
);
export type AllowedPath = Static<typeof AllowedPathSchema>;

export const parseAllowedPath = (text: string): Result<AllowedPath, string> => {
  const at = text.startsWith("/") ? -1 : text.indexOf("=");
  const project = at < 0 ? undefined : text.slice(0, at);
  const readOnly = text.endsWith(":ro");
  const prefix = text.slice(at + 1, readOnly ? -3 : undefined);
  const isWrong = (project !== undefined && !isLabel(project)) || !prefix.startsWith("/") || !isNormal(prefix);
  if (isWrong) return err(`"${text}": write it like /srv/media, /usr/share:ro or PROJECT=/srv/media`);
  if (prefix.length > MAX_PREFIX) return err(`"${text}": a path of more than ${MAX_PREFIX} characters`);
  return ok({ ...(project !== undefined && { project: project as ProjectName }), prefix, readOnly });
};

const isBelow = (path: string, prefix: string): boolean =>
  prefix === "/" || path === prefix || path.startsWith(`${prefix}/`);

/** Why this may not be mounted, as a sentence; undefined when it may. */
export const refuseHostPath = (
  allowed: readonly AllowedPath[],
  project: string,
  { readOnly, source }: { readonly source: string; readonly readOnly: boolean },
): string | undefined => {
  if (!isNormal(source)) return `${source} is not a plain path`;
  const fitting = allowed.filter(
    (one) => (one.project === undefined || one.project === project) && isBelow(source, one.prefix),
  );
  if (fitting.some((one) => readOnly || !one.readOnly)) return undefined;
  if (fitting.length > 0) return `${source} may only be mounted with readOnly: true on this host`;
  return `this host lets project ${project} mount no path like ${source}; its operator allows one with --host-path`;
};
