/** What a document says about its container → what a spec keeps: quantities in bytes, signals as numbers, both bounds. */
import { RLIMITS, type ContainerOptions, type ContainerSettings } from "./container-options.ts";
import type { DocumentErrors } from "./job-errors.ts";
import { parseBytes } from "./units.ts";

/** The numbers of Linux on x86-64 and arm64, which agree (signal(7)); a program of any platform may parse a document. */
const SIGNALS = [
  ...[
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
  ],
  ...["STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO"],
  ...["PWR", "SYS"],
] as const;
const RTMIN = 34;
const MAX_SIGNAL = 64;
/** Smaller than a page nothing can be kept. */
const MIN_TMPFS_BYTES = 4096;

/** `SIGTERM`, `SIGRTMIN+3`. */
export const signalOf = (name: string): number | undefined => {
  const plain = (SIGNALS as readonly string[]).indexOf(name.replace(/^SIG/, ""));
  if (plain >= 0) return plain + 1;
  const realtime = /^SIGRTMIN(?:\+(\d{1,2}))?$/.exec(name);
  if (realtime === null) return undefined;
  const number = RTMIN + Number(realtime[1] ?? 0);
  return number <= MAX_SIGNAL ? number : undefined;
};

const rlimitsOf = (
  given: NonNullable<ContainerOptions["rlimits"]>,
  errors: DocumentErrors,
): NonNullable<ContainerSettings["rlimits"]> =>
  Object.fromEntries(
    RLIMITS.flatMap((name) => {
      const value = given[name];
      if (value === undefined) return [];
      const both = typeof value === "object" ? value : { soft: value, hard: value };
      const order = (one: number | "unlimited"): number => (one === "unlimited" ? Number.POSITIVE_INFINITY : one);
      if (order(both.soft) > order(both.hard)) {
        errors.add(`/container/rlimits/${name}/soft`, "must not be above hard");
      }
      return [[name, both]];
    }),
  );

const sizeOf = (pointer: string, given: string | number | undefined, errors: DocumentErrors) => {
  if (given === undefined) return {};
  const sizeBytes = errors.take(pointer, parseBytes(given), MIN_TMPFS_BYTES);
  if (sizeBytes < MIN_TMPFS_BYTES) errors.add(pointer, "must be at least 4Ki");
  return { sizeBytes };
};

/**
 * Undefined when the document says nothing, so that specs of documents without the section stay as they were. `target`
 * judges where something is mounted, together with volumes and outputs.
 */
export const containerSettingsOf = (
  options: ContainerOptions | undefined,
  errors: DocumentErrors,
  target: (pointer: string, path: string) => void,
): ContainerSettings | undefined => {
  if (options === undefined) return undefined;
  const { init, readOnlyRoot, groups, umask, capabilities, rlimits, sysctls, seccomp, tmpfs, shm } = options;
  const { oomScore, stopSignal } = options;
  const signal = stopSignal === undefined ? undefined : signalOf(stopSignal);
  if (stopSignal !== undefined && (signal === undefined || signal === 9 || signal === 19)) {
    errors.add("/container/stopSignal", `"${stopSignal}" is no signal that a program can act on`);
  }
  const mounts: NonNullable<ContainerSettings["mounts"]> = (tmpfs ?? []).map((mount, at) => {
    target(`/container/tmpfs/${at}/target`, mount.target);
    return { kind: "tmpfs", target: mount.target, ...sizeOf(`/container/tmpfs/${at}/size`, mount.size, errors) };
  });
  if (shm !== undefined) mounts.push({ kind: "shm", target: "/dev/shm", ...sizeOf("/container/shm", shm, errors) });
  const settings: ContainerSettings = {
    ...(init === undefined ? {} : { init }),
    ...(readOnlyRoot === undefined ? {} : { readOnlyRoot }),
    ...(groups === undefined ? {} : { groups }),
    ...(umask === undefined ? {} : { umask: Number.parseInt(umask, 8) }),
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(rlimits === undefined ? {} : { rlimits: rlimitsOf(rlimits, errors) }),
    ...(sysctls === undefined
      ? {}
      : { sysctls: Object.fromEntries(Object.entries(sysctls).map(([name, value]) => [name, String(value)])) }),
    ...(seccomp === "unconfined" ? { seccomp } : {}),
    ...(mounts.length === 0 ? {} : { mounts }),
    ...(oomScore === undefined ? {} : { oomScoreAdj: oomScore }),
    ...(signal === undefined ? {} : { stopSignal: signal }),
  };
  return Object.keys(settings).length === 0 ? undefined : settings;
};
