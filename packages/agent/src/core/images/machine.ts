/**
 * Whole distributions: which archives are the root file system of one, and what its init wants to be asked to shut down
 * in order. An image is a machine when its configuration says so and its name is one that no registry can have: what
 * comes from a registry never gets a machine's rights, whatever it says of itself.
 */
import { LOCAL_REGISTRY, signalOf, type JobSpec } from "@berth/schema";
import { METADATA, ROOTFS } from "./lxc.ts";
import type { ImageConfig } from "./manifest.ts";
import type { PreparedImage } from "./prepared.ts";

export const MACHINE_LABEL = "berth.machine";

export const isMachineName = (name: string): boolean => name.startsWith(`oci://${LOCAL_REGISTRY}/`);

/** Whether an image of this name and configuration counts as one. */
export const isMachineImage = (name: string, { config }: ImageConfig): boolean =>
  isMachineName(name) && config?.Labels?.[MACHINE_LABEL] !== undefined;

/** Top directories that every distribution has some of (FHS 3.0, 3.2), and no archive of an image. */
const TOP = new Set([
  "bin",
  "boot",
  "dev",
  "etc",
  "home",
  "lib",
  "lib64",
  "opt",
  "proc",
  "root",
  "run",
  "sbin",
  "usr",
  "var",
]);

/** By the paths of its first entries: image archives begin with their blobs, indexes or layers. */
export const isRootfs = (paths: readonly string[]): boolean =>
  paths.some((path) => TOP.has(path.split("/")[0] ?? "")) && !paths.some((path) => path === "oci-layout");

/**
 * Of LXC and Incus. `unified`: the root file system lies one directory deeper, in rootfs/; `metadata`: half of a split one,
 * without it. By the paths of the first entries, which are all of a half.
 */
export const lxcKind = (paths: readonly string[]): "unified" | "metadata" | undefined => {
  if (paths.some((path) => path === ROOTFS || path.startsWith(`${ROOTFS}/`))) return "unified";
  if (!paths.includes(METADATA)) return undefined;
  return paths.every((path) => path === METADATA || path.split("/")[0] === "templates") ? "metadata" : "unified";
};

/** In glibc and musl alike, from outside of a container's libc. */
const SIGRTMIN = 34;

const signal = (name: string): number => signalOf(name) ?? 15;

export interface Machine {
  readonly command: readonly string[];
  readonly stopSignal: number;
  /** `systemd`, `busybox`, `sysvinit`: what was recognised. */
  readonly init: string;
}

/** The places of an init, and how each kind is told to halt (systemd(1), busybox init.c, init(8)). */
export const initOf = (
  links: ReadonlyMap<string, string>,
  files: ReadonlySet<string>,
  inittab: string,
): Machine | undefined => {
  const at = ["sbin/init", "usr/sbin/init", "bin/init", "init"].find((path) => links.has(path) || files.has(path));
  const bare = ["usr/lib/systemd/systemd", "lib/systemd/systemd"].find((path) => files.has(path));
  const place = at ?? bare;
  if (place === undefined) return undefined;
  const command = [`/${place}`];
  const target = links.get(place) ?? "";
  if (place === bare || target.endsWith("/systemd") || target === "systemd") {
    return { command, stopSignal: SIGRTMIN + 3, init: "systemd" };
  }
  if (target.endsWith("busybox")) return { command, stopSignal: signal("SIGUSR2"), init: "busybox" };
  /* Told of a power failure it does what its table says (inittab(5)); where that is no shutdown, Ctrl-Alt-Del is. */
  const shutsDown = /^[^#\n:]*:[^:\n]*:power(?:fail(?:now)?|wait):.*\b(?:init\s+0|shutdown|halt|poweroff)\b/m.test(
    inittab,
  );
  return {
    command,
    stopSignal: shutsDown ? signal("SIGPWR") : signal("SIGINT"),
    init: "sysvinit",
  };
};

/** A job that names a program of its own runs that, as in any image. */
export const isMachine = (
  { defaults }: Pick<PreparedImage, "defaults">,
  { command }: Pick<JobSpec, "command">,
): boolean => defaults.machine === true && command.length === 0;

/**
 * Its root may mount, so that nothing of a mount holds against it: neither read-only, nor without devices, nor without
 * setuid. What others rely on being so is not given to it. A sentence, or undefined.
 */
export const refuseForMachine = ({ volumes }: Pick<JobSpec, "volumes">): string | undefined => {
  for (const volume of volumes) {
    if ("source" in volume)
      return `${volume.source}: the init of a distribution mounts volumes, not paths of the host, since it could mount them otherwise`;
    if (volume.readOnly)
      return `${volume.target}: the init of a distribution could make a read-only volume writable again: mount it writable, or not at all`;
  }
  return undefined;
};
