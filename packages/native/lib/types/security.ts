/** What a spec may say about rights: capabilities, limits of processes, devices, namespaces, hooks, and the host's policy. */

/** Of those that Linux has, the ones that stay inside of a user namespace. */
export type Capability =
  | "audit_write"
  | "chown"
  | "dac_override"
  | "dac_read_search"
  | "fowner"
  | "fsetid"
  | "ipc_lock"
  | "ipc_owner"
  | "kill"
  | "lease"
  | "mknod"
  | "net_admin"
  | "net_bind_service"
  | "net_broadcast"
  | "net_raw"
  | "setfcap"
  | "setgid"
  | "setpcap"
  | "setuid"
  | "sys_admin"
  | "sys_boot"
  | "sys_chroot"
  | "sys_nice"
  | "sys_ptrace"
  | "sys_resource";

export interface Capabilities {
  /** Beside the default set. `dac_read_search`, `net_admin`, `sys_admin`, `sys_boot` and `sys_ptrace` need the host's policy. */
  readonly add?: readonly Capability[];
  /** Taken from the default set before `add` counts. */
  readonly drop?: readonly (Capability | "all")[];
  readonly inheritable?: readonly Capability[];
  /** What a program keeps that does not run as root. Inheritable as well. */
  readonly ambient?: readonly Capability[];
}

export type RlimitName =
  | "as"
  | "core"
  | "cpu"
  | "data"
  | "fsize"
  | "locks"
  | "memlock"
  | "msgqueue"
  | "nice"
  | "nofile"
  | "nproc"
  | "rss"
  | "rtprio"
  | "rttime"
  | "sigpending"
  | "stack";

export interface Rlimit {
  readonly soft: number | "unlimited";
  readonly hard: number | "unlimited";
}

/** A device of the host. */
export interface Device {
  /** Below /dev. */
  readonly path: string;
  readonly type: "char" | "block";
  readonly major: number;
  readonly minor: number;
  /** Permission bits of the node. Default 0660. */
  readonly mode?: number;
  /** Owner inside. Default root. */
  readonly uid?: number;
  readonly gid?: number;
  /** Of r(ead), w(rite) and m(knod). Default `rw`. */
  readonly access?: string;
}

/**
 * `time` and `cgroup` together with the `user` namespace that they belong to. Not among them: `pid`, since a container ends
 * with its own, whose first process is its init; and `mnt`, which is its root file system: `exec` runs programs in both.
 */
export type JoinableNamespace = "user" | "net" | "ipc" | "uts" | "time" | "cgroup";
/** Somebody else's namespace: a path like /proc/PID/ns/net, or an open descriptor of this process. */
export type NamespaceSource = { readonly path: string } | { readonly fd: number };

export interface Namespaces extends Partial<Readonly<Record<Exclude<JoinableNamespace, "time">, NamespaceSource>>> {
  /** Somebody else's clocks, or its own: what is added to the time since boot, time_namespaces(7). */
  readonly time?: NamespaceSource | { readonly monotonicOffsetMs?: number; readonly boottimeOffsetMs?: number };
}

export type HookPoint = "createRuntime" | "started" | "stopped";

/** A program of the host, run by its root outside of the container; it reads the container's `status` from stdin. */
export interface Hook {
  /** Absolute path, which the host's policy must name, and arguments. */
  readonly command: readonly string[];
  /** All of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** After this it is killed and counts as failed. Default 10 s. */
  readonly timeoutMs?: number;
}

/** What specs may ask for on this host beyond what is harmless everywhere. */
export interface SpecPolicy {
  /** Of the five that have been part of an escape: those that a spec may add. Default none. */
  readonly capabilities?: readonly Capability[];
  /** Whether a spec may do without the default system call profile. */
  readonly unconfinedSeccomp?: boolean;
  /** Absolute paths of programs that specs may name as hooks. */
  readonly hooks?: readonly string[];
  /** Devices of the host that a spec may ask for. Default none: a disk's node is the host itself. */
  readonly devices?: readonly Pick<Device, "type" | "major" | "minor">[];
}
