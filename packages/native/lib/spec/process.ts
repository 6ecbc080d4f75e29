/** Who the program is and what it may: user and groups, capabilities, resource limits, umask, OOM score. */
import { constants } from "node:os";
import { fields, list, matching, oneOf, optional, refuse, whole, type Parse } from "./check.ts";
import { NOTHING, u64, type Ref, type Row, type SpecBytes } from "./bytes.ts";
import type { Capability, ContainerSpec, RlimitName, SpecPolicy } from "../types.ts";

/** In the order of their numbers in linux/capability.h; the ones in between act on the host and can never be given. */
const NUMBERS: Readonly<Record<Capability, number>> = {
  chown: 0,
  dac_override: 1,
  dac_read_search: 2,
  fowner: 3,
  fsetid: 4,
  kill: 5,
  setgid: 6,
  setuid: 7,
  setpcap: 8,
  net_bind_service: 10,
  net_broadcast: 11,
  net_admin: 12,
  net_raw: 13,
  ipc_lock: 14,
  ipc_owner: 15,
  sys_chroot: 18,
  sys_ptrace: 19,
  sys_admin: 21,
  sys_boot: 22,
  sys_nice: 23,
  sys_resource: 24,
  mknod: 27,
  lease: 28,
  audit_write: 29,
  setfcap: 31,
};
const NAMES = Object.keys(NUMBERS) as Capability[];
const DEFAULT: readonly Capability[] = [
  "chown",
  "dac_override",
  "fowner",
  "fsetid",
  "kill",
  "net_bind_service",
  "setfcap",
  "setgid",
  "setpcap",
  "setuid",
  "sys_chroot",
];
/** What the init of a distribution expects beside these, all of it in its own user namespace. */
const MACHINE: readonly Capability[] = [
  ...DEFAULT,
  "audit_write",
  "dac_read_search",
  "ipc_lock",
  "ipc_owner",
  "lease",
  "mknod",
  "net_admin",
  "net_broadcast",
  "net_raw",
  "sys_admin",
  "sys_boot",
  "sys_nice",
  "sys_ptrace",
  "sys_resource",
];
/** Each has been part of an escape; an operator must have allowed it. */
const BY_POLICY: readonly Capability[] = ["dac_read_search", "net_admin", "sys_admin", "sys_boot", "sys_ptrace"];

const RLIMITS: Readonly<Record<RlimitName, number>> = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
};

const UNLIMITED = 0xffff_ffff_ffff_ffffn;
const FLAG_OOM_SCORE = 1;
/** 4294967295 is "no id" to the kernel; a leading zero would be octal to some and decimal to others. */
const isId = (value: string): boolean => /^(0|[1-9][0-9]{0,9})$/.test(value) && Number(value) < 0xffff_ffff;
const isAccount = (value: string): boolean => /^[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?$/.test(value) || isId(value);

const account: Parse<string> = (field, value) =>
  typeof value === "string" && isAccount(value)
    ? value
    : refuse(field, `${JSON.stringify(value) ?? "undefined"} is neither a name nor a number`);

const userText: Parse<string> = (field, value) => {
  const given = matching(/^[^\s]{1,129}$/, 'a user as "name", "uid", "name:group" or "uid:gid"')(field, value);
  const parts = given.split(":");
  if (parts.length > 2) refuse(field, `${JSON.stringify(given)} has more than one colon`);
  for (const part of parts) account(field, part);
  return given;
};

const capability = oneOf(NAMES);
const bits = (names: readonly Capability[]): bigint =>
  names.reduce((sum, name) => sum | (1n << BigInt(NUMBERS[name])), 0n);

interface CapabilitySets {
  readonly bounding: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
}

const capabilitySets = (value: unknown, policy: SpecPolicy, usual: readonly Capability[]): CapabilitySets => {
  const name = "capabilities";
  const given = value === undefined ? {} : fields(name, value, ["add", "drop", "inheritable", "ambient"]);
  const names = (key: "add" | "inheritable" | "ambient") =>
    optional(`${name}.${key}`, given[key], list(capability, 0, NAMES.length), []);
  const drop: readonly (Capability | "all")[] = optional(
    `${name}.drop`,
    given.drop,
    list(oneOf<Capability | "all">([...NAMES, "all"]), 0, NAMES.length + 1),
    [],
  );
  const add = names("add");
  const refused = add.find((one) => BY_POLICY.includes(one) && policy.capabilities?.includes(one) !== true);
  if (refused !== undefined) refuse(`${name}.add`, `${refused} is not allowed by this host's policy`);
  const kept = new Set<Capability>([...(drop.includes("all") ? [] : usual.filter((one) => !drop.includes(one)))]);
  for (const one of add) kept.add(one);
  const ambient = names("ambient");
  const inheritable = [...names("inheritable"), ...ambient];
  const beyond = inheritable.find((one) => !kept.has(one));
  if (beyond !== undefined)
    refuse(name, `${beyond} cannot be inheritable or ambient without being in the bounding set`);
  return { bounding: bits([...kept]), inheritable: bits(inheritable), ambient: bits(ambient) };
};

const limit: Parse<bigint> = (field, value) =>
  value === "unlimited" ? UNLIMITED : BigInt(whole(0, Number.MAX_SAFE_INTEGER)(field, value));

const rlimitRows = (value: unknown): readonly Row[] => {
  const given = fields("rlimits", value, Object.keys(RLIMITS) as RlimitName[]);
  return (Object.keys(given) as RlimitName[])
    .filter((key) => given[key] !== undefined)
    .map((key) => {
      const field = `rlimits.${key}`;
      const one = fields(field, given[key], ["soft", "hard"]);
      const soft = limit(`${field}.soft`, one.soft);
      const hard = limit(`${field}.hard`, one.hard);
      if (soft > hard) refuse(field, "the soft limit is above the hard one");
      return [RLIMITS[key], 0, u64(soft), u64(hard)];
    });
};

export const encodeProcess = (spec: ContainerSpec, policy: SpecPolicy, out: SpecBytes): Ref => {
  const { user, groups, umask, rlimits, oomScoreAdj, capabilities } = spec;
  const machine = spec.machine === true;
  const isUsual = user === undefined && groups === undefined && umask === undefined && capabilities === undefined;
  if (isUsual && rlimits === undefined && oomScoreAdj === undefined && !machine) return NOTHING;
  const sets = capabilitySets(capabilities, policy, machine ? MACHINE : DEFAULT);
  const name = optional("user", user, userText, undefined);
  const more = optional("groups", groups, list(account, 0, 64), []);
  const limits = rlimits === undefined ? [] : rlimitRows(rlimits);
  const mask = optional("umask", umask, whole(0, 0o777), 0o022);
  const score = optional("oomScoreAdj", oomScoreAdj, whole(-1000, 1000), undefined);
  return out.section([
    name === undefined ? NOTHING : out.text(name),
    out.texts(more),
    out.list(limits),
    u64(sets.bounding),
    u64(sets.inheritable),
    u64(sets.ambient),
    score === undefined ? 0 : FLAG_OOM_SCORE,
    mask,
    score ?? 0,
    0,
  ]);
};

const signal = whole(1, 64);
export const stopSignalOf = (spec: ContainerSpec): number =>
  optional("stopSignal", spec.stopSignal, signal, constants.signals.SIGTERM);
