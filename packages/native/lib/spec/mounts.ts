/** Mounts of every kind. Where one may go is decided here and, again and strictly, by the supervisor. */
import { fields, flag, list, oneOf, optional, path, refuse, shown, whole, type Parse } from "./check.ts";
import { NOTHING, u64, type Ref, type Row, type SpecBytes } from "./bytes.ts";
import type { ContainerSpec, MountKind } from "../types.ts";

const KINDS: Readonly<Record<MountKind, number>> = {
  bind: 1,
  tmpfs: 2,
  proc: 3,
  sysfs: 4,
  mqueue: 5,
  devpts: 6,
  shm: 7,
  cgroup: 8,
};
const READ_ONLY = 1;
const NOEXEC = 2;
const FLAT = 4;
const SLAVE = 8;
const MOST = 128;

/** The few places below the kernel's file systems that may be mounted on, each with what may be mounted there. */
const WITHIN: Readonly<Record<string, readonly MountKind[]>> = {
  "dev/shm": ["shm", "tmpfs", "bind"],
  "dev/mqueue": ["mqueue"],
  "sys/fs/cgroup": ["cgroup"],
};

const partsOf = (target: string): readonly string[] => target.split("/").filter((part) => part !== "" && part !== ".");

/** What a program believes about the kernel comes from the kernel: /proc, /sys, /dev and the root itself stay. */
const mountTarget = (field: string, value: unknown, kind: MountKind): string => {
  const target = path(field, value);
  const parts = partsOf(target);
  const [first] = parts;
  if (first !== undefined && !["proc", "sys", "dev"].includes(first)) return target;
  return WITHIN[parts.join("/")]?.includes(kind) === true ? target : refuse(field, `${shown(target)} is reserved`);
};

const mountRow =
  (out: SpecBytes): Parse<Row> =>
  (field, value) => {
    const kindOf = (value as { readonly kind?: unknown } | null)?.kind;
    const kind = optional(`${field}.kind`, kindOf, oneOf(Object.keys(KINDS) as MountKind[]), "bind" as const);
    const bind = kind === "bind";
    const sized = kind === "tmpfs" || kind === "shm";
    const given = fields(field, value, [
      "kind",
      "target",
      ...(kind === "shm" ? [] : (["readOnly", "noExec"] as const)),
      ...(bind ? (["source", "recursive", "propagation"] as const) : []),
      ...(sized ? (["sizeBytes", "inodes", "mode"] as const) : []),
    ]);
    const on = (name: "readOnly" | "noExec" | "recursive", absent: boolean) =>
      optional(`${field}.${name}`, given[name], flag, absent);
    const slave =
      optional(`${field}.propagation`, given.propagation, oneOf(["private", "slave"]), "private") === "slave";
    const readOnly = bind ? flag(`${field}.readOnly`, given.readOnly) : on("readOnly", false);
    const flags =
      (readOnly ? READ_ONLY : 0) |
      (on("noExec", false) ? NOEXEC : 0) |
      (on("recursive", true) ? 0 : FLAT) |
      (slave ? SLAVE : 0);
    const source = bind ? path(`${field}.source`, given.source) : undefined;
    const target = mountTarget(`${field}.target`, given.target, kind);
    const size = optional(`${field}.sizeBytes`, given.sizeBytes, whole(4096, Number.MAX_SAFE_INTEGER), 0);
    const inodes = optional(`${field}.inodes`, given.inodes, whole(2, 0x7fff_ffff), 0);
    const mode = optional(`${field}.mode`, given.mode, whole(0, 0o1777), kind === "shm" ? 0o1777 : 0o755);
    const from = source === undefined ? NOTHING : out.text(source);
    return [from, out.text(target), KINDS[kind], flags, u64(size), inodes, mode];
  };

export const encodeMounts = (spec: ContainerSpec, out: SpecBytes): Ref =>
  out.list(list(mountRow(out), 0, MOST)("mounts", spec.mounts));
