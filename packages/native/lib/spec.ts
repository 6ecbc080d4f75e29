/**
 * Writes the flat spec of include/spec.h. Says early and by field name what the supervisor would refuse anyway; the
 * supervisor checks again and believes nothing of this. Each part of a spec that may be absent has a file in spec/.
 */
import { constants } from "node:os";
import { nativeError } from "./errors.ts";
import type { Hierarchy } from "./cgroup-layout.ts";
import { SpecBytes, u64 } from "./spec/bytes.ts";
import { HEADER_BYTES, withHierarchy, type EncodedCgroups } from "./spec/cgroups.ts";
import {
  entries,
  fields,
  flag,
  list,
  matching,
  Mistake,
  optional,
  path,
  refuse,
  shown,
  text,
  whole,
} from "./spec/check.ts";
import { deviceWrites, encodeDevices } from "./spec/devices.ts";
import { encodeHooks } from "./spec/hooks.ts";
import { encodeLease } from "./spec/lease.ts";
import { encodeMounts } from "./spec/mounts.ts";
import { encodeNamespaces, joinsOf, type Join } from "./spec/namespaces.ts";
import { logOf, stdioBits, terminalWord } from "./spec/output.ts";
import { encodeNetwork } from "./spec/network.ts";
import { encodeProcess, stopSignalOf } from "./spec/process.ts";
import { encodeSecrets } from "./spec/secrets.ts";
import { encodeSecurity } from "./spec/security.ts";
import type { ContainerSpec, LogLimits, NativeError, SpecPolicy } from "./types.ts";

const MAGIC = 0x48545242;
const VERSION = 4;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_STRING = 131_071;
const MAX_DISK_BYTES = 0xffff_ffff * 2 ** 20;
const ID_COUNT = 65_536;
const FLAG_ATTACH_LAYERS = 1;
const FLAG_READ_ONLY_ROOT = 2;
const FLAG_NO_INIT = 4;
const FLAG_MACHINE = 8;
const FLAG_SHIFTED_LAYERS = 16;

export const isContainerId = (id: string): boolean => /^[a-z0-9_-]{1,64}$/.test(id);
/** A cgroup path below the root of a hierarchy: plain names, no dots in front. */
export const isCgroupParent = (parent: string): boolean =>
  parent.length <= 255 && /^[A-Za-z0-9_-][A-Za-z0-9_.-]*(\/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$/.test(parent);

/** What holds for all specs of a runtime. */
export interface SpecContext {
  readonly log: LogLimits;
  /** The v1 hierarchy that controls access to devices, where there is one; v2 does it by a program of the supervisor. */
  readonly devices?: Hierarchy | undefined;
  /** Kernels before 6.15 want the layers of an overlay attached to a mount namespace. */
  readonly attachLayers: boolean;
  readonly policy: SpecPolicy;
  /** The state directory lies on a file system with project quotas. */
  readonly limitsDisk: boolean;
  /** Makes the names of links on the host this agent's own. */
  readonly stateDir: string;
}

type Encoded =
  | { readonly ok: true; readonly value: Uint8Array; readonly joins: readonly Join[] }
  | { readonly ok: false; readonly error: NativeError };

/** `cgroups` hold it to its limits, which the caller has checked: see limitsMistake. */
export const encodeSpec = (spec: ContainerSpec, context: SpecContext, cgroups: EncodedCgroups): Encoded => {
  const fail = (errno: number, detail: string): Encoded => ({ ok: false, error: nativeError("spec", errno, detail) });
  try {
    const value = encode(spec, context, cgroups);
    if (value.length > MAX_BYTES)
      return fail(constants.errno.E2BIG, `the spec needs ${value.length} bytes, at most ${MAX_BYTES} are allowed`);
    return { ok: true, value, joins: joinsOf(spec) };
  } catch (cause) {
    if (cause instanceof Mistake) return fail(constants.errno.EINVAL, cause.message);
    throw cause;
  }
};

const id = matching(/^[a-z0-9_-]{1,64}$/, "1 to 64 of a-z, 0-9, _ and -");
const hostname = matching(/^[A-Za-z0-9.-]{1,64}$/, "a host name of at most 64 characters");

/** Every key that a spec may have: a new field of the type has to be named here, or this does not compile. */
const KEYS = Object.keys({
  id: true,
  layers: true,
  command: true,
  env: true,
  workdir: true,
  hostname: true,
  domainname: true,
  mounts: true,
  devices: true,
  idBase: true,
  limits: true,
  strictLimits: true,
  log: true,
  stdin: true,
  terminal: true,
  user: true,
  groups: true,
  umask: true,
  rlimits: true,
  oomScoreAdj: true,
  capabilities: true,
  stopSignal: true,
  init: true,
  machine: true,
  readOnlyRoot: true,
  namespaces: true,
  network: true,
  seccomp: true,
  sysctls: true,
  maskedPaths: true,
  readOnlyPaths: true,
  hooks: true,
  lease: true,
  secrets: true,
  diskBytes: true,
  shiftedLayers: true,
} satisfies Record<keyof ContainerSpec, true>) as (keyof ContainerSpec)[];

const layers = list(path, 1, 64);
const word = text(MAX_STRING);
const command = list(word, 1, 4096);
const idBase = whole(ID_COUNT, 0xffff_ffff - 2 * ID_COUNT);
const diskBytes = whole(0, MAX_DISK_BYTES);

const encode = (spec: ContainerSpec, context: SpecContext, usual: EncodedCgroups): Uint8Array => {
  fields("spec", spec, KEYS);
  const { devices } = context;
  const cgroups =
    spec.devices === undefined || devices === undefined
      ? usual
      : withHierarchy(usual, devices, deviceWrites(spec, devices.path));
  const [cgroupParent, hierarchies, cgroupWrites] = cgroups.refs;
  const out = new SpecBytes(HEADER_BYTES, cgroups.bytes);
  const refs = [
    out.text(id("id", spec.id)),
    out.text(hostname("hostname", spec.hostname)),
    out.text(path("workdir", spec.workdir)),
    cgroupParent,
    out.texts(layers("layers", spec.layers)),
    out.texts(commandOf(spec)),
    out.texts(environmentOf(spec)),
    encodeMounts(spec, out),
    hierarchies,
    cgroupWrites,
    encodeProcess(spec, context.policy, out),
    encodeSecurity(spec, context.policy, out),
    encodeDevices(spec, context.policy, out),
    encodeNamespaces(spec, out),
    encodeHooks(spec, context.policy, out),
    encodeNetwork(spec, context.stateDir, out),
    encodeLease(spec, out),
    encodeSecrets(spec, out),
  ];
  const firstId = idBase("idBase", spec.idBase);
  const log = logOf(spec, context.log);
  optional("strictLimits", spec.strictLimits, flag, false);
  const numbers = [
    MAGIC,
    VERSION,
    out.size,
    flagsOf(spec, context),
    /* What is in /dev/shm counts as memory, so more than that can never be there. */
    u64(spec.limits.memoryBytes),
    u64(log.maxBytes),
    u64(log.bytesPerSecond ?? 0),
    firstId,
    log.files,
    stdioBits(spec, log),
    terminalWord(spec),
    stopSignalOf(spec),
    diskMib(spec, context),
  ];
  return out.finish(numbers, refs);
};

const flagsOf = (spec: ContainerSpec, context: SpecContext): number =>
  (context.attachLayers ? FLAG_ATTACH_LAYERS : 0) |
  (optional("readOnlyRoot", spec.readOnlyRoot, flag, false) ? FLAG_READ_ONLY_ROOT : 0) |
  (optional("init", spec.init, flag, true) ? 0 : FLAG_NO_INIT) |
  (isMachine(spec) ? FLAG_MACHINE : 0) |
  (optional("shiftedLayers", spec.shiftedLayers, flag, false) ? FLAG_SHIFTED_LAYERS : 0);

/** Rounded up. Where nothing enforces it, there is no limit. */
const diskMib = (spec: ContainerSpec, context: SpecContext): number => {
  const bytes = optional("diskBytes", spec.diskBytes, diskBytes, 0);
  return context.limitsDisk ? Math.ceil(bytes / 2 ** 20) : 0;
};

const isMachine = (spec: ContainerSpec): boolean => {
  const machine = optional("machine", spec.machine, flag, false);
  if (machine && spec.init !== false) refuse("machine", "its own init is PID 1: say init: false as well");
  if (machine && joinsOf(spec).some(({ kind }) => kind === "user"))
    refuse("machine", "it has a user namespace of its own and joins nobody's");
  /* The kernel locks such a flag only for a mount that comes from another user namespace by a copy, not by move_mount(2). */
  if (
    machine &&
    (spec.mounts ?? []).some((mount) => mount.kind !== "tmpfs" && "readOnly" in mount && mount.readOnly === true)
  )
    refuse("mounts", "the root of a machine may mount, and could make a read-only mount writable again");
  return machine;
};

const commandOf = (spec: ContainerSpec): readonly string[] => {
  const words = command("command", spec.command);
  return words[0] === "" ? refuse("command", "the program's name is empty") : words;
};

const environmentOf = (spec: ContainerSpec): readonly string[] =>
  entries("env", spec.env, word, 4096).map(([name, value]) => {
    if (name === "" || name.includes("=")) refuse("env", `${shown(name)} is not a name`);
    return word("env", `${name}=${value}`);
  });
