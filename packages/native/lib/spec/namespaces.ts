/** Namespaces that differ from the default: others' that are joined, clocks of its own, an NIS domain name. */
import { fields, matching, optional, path, refuse, whole, type Parse } from "./check.ts";
import { NOTHING, u64, type Ref, type SpecBytes } from "./bytes.ts";
import type { ContainerSpec, JoinableNamespace } from "../types.ts";

/** CLONE_NEW*, linux/sched.h. */
const KINDS: Readonly<Record<JoinableNamespace, number>> = {
  user: 0x1000_0000,
  net: 0x4000_0000,
  ipc: 0x0800_0000,
  uts: 0x0400_0000,
  time: 0x0000_0080,
  cgroup: 0x0200_0000,
};
const NAMES = Object.keys(KINDS) as JoinableNamespace[];
const FLAG_TIME = 1;
/** Offsets beyond this overflow the kernel's clocks, time_namespaces(7). */
const MOST_OFFSET_MS = 146 * 365 * 86_400_000;

export interface Join {
  readonly kind: JoinableNamespace;
  readonly source: { readonly path: string } | { readonly fd: number };
}

const source: Parse<Join["source"]> = (field, value) => {
  const given = fields(field, value, ["path", "fd"]);
  if ((given.path === undefined) === (given.fd === undefined)) refuse(field, "give either a path or an fd");
  return given.path === undefined
    ? { fd: whole(0, 0x7fff_ffff)(`${field}.fd`, given.fd) }
    : { path: path(`${field}.path`, given.path) };
};

/** In a fixed order: that of the descriptors that are handed to the supervisor. */
export const joinsOf = (spec: ContainerSpec): readonly Join[] => {
  if (spec.namespaces === undefined) return [];
  const given = fields("namespaces", spec.namespaces, NAMES);
  const joins = NAMES.flatMap((kind) => {
    const value = given[kind];
    if (value === undefined || (kind === "time" && !isSource(value))) return [];
    return [{ kind, source: source(`namespaces.${kind}`, value) }];
  });
  const owned = joins.find(({ kind }) => kind === "time" || kind === "cgroup");
  if (owned !== undefined && !joins.some(({ kind }) => kind === "user"))
    refuse(`namespaces.${owned.kind}`, "is joined together with the user namespace that it belongs to");
  return joins;
};

const isSource = (value: unknown): boolean =>
  typeof value === "object" && value !== null && ("path" in value || "fd" in value);

const offset = whole(-MOST_OFFSET_MS, MOST_OFFSET_MS);
export const isDomainname = matching(/^[A-Za-z0-9.-]{1,64}$/, "a domain name of at most 64 characters");

export const encodeNamespaces = (spec: ContainerSpec, out: SpecBytes): Ref => {
  const { namespaces, domainname } = spec;
  const joins = joinsOf(spec);
  const name = optional("domainname", domainname, isDomainname, undefined);
  const time =
    namespaces?.time === undefined || isSource(namespaces.time)
      ? undefined
      : fields("namespaces.time", namespaces.time, ["monotonicOffsetMs", "boottimeOffsetMs"]);
  if (joins.length === 0 && name === undefined && time === undefined) return NOTHING;
  if (name !== undefined && joins.some((join) => join.kind === "uts"))
    refuse("domainname", "a joined uts namespace has one of its own");
  const monotonic = optional("namespaces.time.monotonicOffsetMs", time?.monotonicOffsetMs, offset, 0);
  const boottime = optional("namespaces.time.boottimeOffsetMs", time?.boottimeOffsetMs, offset, 0);
  return out.section([
    out.list(joins.map((join, i) => [KINDS[join.kind], i])),
    name === undefined ? NOTHING : out.text(name),
    time === undefined ? 0 : FLAG_TIME,
    0,
    u64(monotonic),
    u64(boottime),
  ]);
};
