/**
 * Which paths of this host jobs may mount: none, unless the operator says so. `PREFIX`, `PREFIX:ro`, and with a project in
 * front, `PROJECT=PREFIX`, for it alone. What is compared is the path as written; that no symbolic link leads out of it
 * is the runtime's to see to, which resolves sources with openat2(2) and RESOLVE_NO_SYMLINKS.
 */
import { err, isLabel, isNormal, ok, type HostPathMount, type Result } from "@berth/schema";

export interface AllowedPath {
  /** Undefined: every project. */
  readonly project: string | undefined;
  readonly prefix: string;
  readonly readOnly: boolean;
}

export const parseAllowedPath = (text: string): Result<AllowedPath, string> => {
  const at = text.startsWith("/") ? -1 : text.indexOf("=");
  const project = at < 0 ? undefined : text.slice(0, at);
  const readOnly = text.endsWith(":ro");
  const prefix = text.slice(at + 1, readOnly ? -3 : undefined);
  const isWrong = (project !== undefined && !isLabel(project)) || !prefix.startsWith("/") || !isNormal(prefix);
  if (isWrong) return err(`"${text}": write it like /srv/media, /usr/share:ro or PROJECT=/srv/media`);
  return ok({ project, prefix, readOnly });
};

const isBelow = (path: string, prefix: string): boolean =>
  prefix === "/" || path === prefix || path.startsWith(`${prefix}/`);

/** Why this may not be mounted, as a sentence; undefined when it may. */
export const refuseHostPath = (
  allowed: readonly AllowedPath[],
  project: string,
  { readOnly, source }: Pick<HostPathMount, "source" | "readOnly">,
): string | undefined => {
  if (!isNormal(source)) return `${source} is not a plain path`;
  const fitting = allowed.filter(
    (one) => (one.project === undefined || one.project === project) && isBelow(source, one.prefix),
  );
  if (fitting.some((one) => readOnly || !one.readOnly)) return undefined;
  if (fitting.length > 0) return `${source} may only be mounted with readOnly: true on this host`;
  return `this host lets project ${project} mount no path like ${source}; its operator allows one with --host-path, and data of a project belongs into a volume`;
};
