/**
 * The name of a distribution that hosts build themselves: `distro://debian/RELEASE[/INIT]`. Its image is kept under a name
 * of the `local` registry, so that everything that knows images knows it: `distro://debian/12` is
 * `oci://local/distro/debian:12`, and `distro://debian/13/sysvinit` is `oci://local/distro/debian:13-sysvinit`.
 */
import { err, ok, type Result } from "./result.ts";

/** Where images are that came without the name of a registry: no host is ever asked for them. */
export const LOCAL_REGISTRY = "local";
export const DISTRO_SCHEME = "distro://";
export const DEBIAN_INITS = ["systemd", "sysvinit", "openrc"] as const;
export type DebianInit = (typeof DEBIAN_INITS)[number];
/** Releases and their names, as archives call them (https://www.debian.org/releases/). */
const DEBIAN: Readonly<Record<string, string>> = { "11": "bullseye", "12": "bookworm", "13": "trixie" };
const USUAL_INIT: DebianInit = "systemd";
export const DISTRO_REPOSITORY = "distro/debian";

export interface DistroReference {
  readonly distribution: "debian";
  readonly release: string;
  readonly codename: string;
  readonly init: DebianInit;
}

export const isDistroReference = (text: string): boolean => text.startsWith(DISTRO_SCHEME);

/** Releases by number or name. A sentence that says which part is wrong when it is none. */
export const parseDistroReference = (text: string): Result<DistroReference, string> => {
  if (!isDistroReference(text)) return err(`"${text}" does not begin with ${DISTRO_SCHEME}`);
  const [distribution = "", release = "", init = USUAL_INIT, ...more] = text.slice(DISTRO_SCHEME.length).split("/");
  if (distribution !== "debian") {
    return err(`"${distribution}" cannot be built here, only debian can: import a tar of its root file system instead`);
  }
  const known = Object.entries(DEBIAN).find((names) => names.includes(release));
  if (known === undefined) {
    return err(`"${release}" is no release of Debian that can be built: one of ${Object.keys(DEBIAN).join(", ")}`);
  }
  const chosen = DEBIAN_INITS.find((one) => one === init);
  if (chosen === undefined || more.length > 0) {
    return err(`"${[init, ...more].join("/")}" is no init: one of ${DEBIAN_INITS.join(", ")}`);
  }
  return ok({ distribution, release: known[0], codename: known[1], init: chosen });
};

/** Repository and tag in the `local` registry. */
export const distroImage = ({
  init,
  release,
}: DistroReference): { readonly repository: string; readonly tag: string } => ({
  repository: DISTRO_REPOSITORY,
  tag: init === USUAL_INIT ? release : `${release}-${init}`,
});

/** The other way round: what is to be built for an image of this repository and tag, or undefined. */
export const distroOf = (repository: string, tag: string | undefined): string | undefined => {
  if (repository !== DISTRO_REPOSITORY || tag === undefined) return undefined;
  const text = `${DISTRO_SCHEME}debian/${tag.replace("-", "/")}`;
  return parseDistroReference(text).ok ? text : undefined;
};
