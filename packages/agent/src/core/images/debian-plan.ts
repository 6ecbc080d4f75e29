/**
 * What mmdebstrap is asked for, and what its lines say of how far it is. Pure; the program is run by
 * adapters/images/build-distro.ts.
 */
import type { DebianInit, DistroReference, ImageRequest } from "@berth/schema";
import type { Mirrors } from "./apt-sources.ts";

/** What a machine needs beside the essential packages: an init, and the means to look around and reach a network. */
const COMMON = ["ca-certificates", "iproute2", "less", "netbase", "procps"];
const INIT: Readonly<Record<DebianInit, readonly string[]>> = {
  systemd: ["dbus", "systemd", "systemd-sysv"],
  sysvinit: ["sysvinit-core"],
  openrc: ["openrc", "sysvinit-core"],
};
/** It is the name of the host that builds; without the file, an init keeps the name that its task has. */
const NO_HOSTNAME = `rm -f "$1/etc/hostname"`;
/**
 * The init of System V halts when it is told that the power fails (init(8)), but Debian's table starts a program then that
 * nobody has.
 */
const HALT_ON_SIGPWR = `sed -i 's|^pf::powerwait:.*|pf::powerwait:/sbin/shutdown -h now|' "$1/etc/inittab"`;

/** Who may read the mirror is nobody's business who has the image: what apt was told stays in it, without that. */
const NO_USERINFO = String.raw`find "$1/etc/apt" -type f \( -name '*.list' -o -name '*.sources' \) -exec sed -i -E 's|(://)[^/@[:space:]]*@|\1|' {} +`;

/** Text without the name and password that an address in it may have. */
export const withoutUserinfo = (text: string): string => text.replaceAll(/(:\/\/)[^/@\s]*@/g, "$1");

/** A request as a log may have it. */
export const forLog = (request: ImageRequest): ImageRequest =>
  request.kind === "build" && request.mirror !== null
    ? { ...request, mirror: withoutUserinfo(request.mirror) }
    : request;

export interface DebianBuild extends Mirrors {
  readonly keyring: string | undefined;
}

/** Arguments of mmdebstrap (mmdebstrap(1)): a plain tar to its standard output. */
export const mmdebstrapArguments = (
  { codename, init }: DistroReference,
  { keyring, mirror, securityMirror }: DebianBuild,
): readonly string[] => [
  "--mode=root",
  "--format=tar",
  "--variant=minbase",
  `--include=${[...COMMON, ...INIT[init]].join(",")}`,
  ...(keyring === undefined ? [] : [`--keyring=${keyring}`]),
  `--customize-hook=${NO_HOSTNAME}`,
  `--customize-hook=${NO_USERINFO}`,
  ...(init === "systemd" ? [] : [`--customize-hook=${HALT_ON_SIGPWR}`]),
  codename,
  "-",
  `deb ${mirror} ${codename} main`,
  ...(securityMirror === undefined ? [] : [`deb ${securityMirror} ${codename}-security main`]),
];

/** What a line of its talk begins, or undefined. */
export const stepOf = (
  line: string,
): { readonly label: string; readonly phase: "fetching" | "building" } | undefined => {
  if (line.startsWith("I: running apt-get update")) return { label: "lists", phase: "fetching" };
  if (line.startsWith("I: downloading packages")) return { label: "packages", phase: "fetching" };
  if (line.startsWith("I: extracting archives")) return { label: "base", phase: "building" };
  if (line.startsWith("I: installing")) return { label: "install", phase: "building" };
  return undefined;
};

/** Why it failed, in its own words: lines that say so, else the last ones. */
export const failureOf = (lines: readonly string[]): string => {
  const said = lines.filter((line) => /^\s*(?:E|Err(?::\d+)?|error)[: ]/i.test(line));
  const text = (said.length > 0 ? said : lines)
    .slice(-4)
    .map((line) => line.trim())
    .join("; ");
  return withoutUserinfo(text).slice(-800);
};
