/** What can be mounted in a container. */

export interface BindMount {
  readonly kind?: "bind";
  /** Absolute path on the host. */
  readonly source: string;
  /** Absolute path in the container; created when it does not exist, resolved inside the rootfs only. */
  readonly target: string;
  readonly readOnly: boolean;
  readonly noExec?: boolean;
  /** With what is mounted below the source. Default true. */
  readonly recursive?: boolean;
  /** `slave`: what the host mounts below the source later appears inside, never the other way round. */
  readonly propagation?: "private" | "slave";
}

/** A file system in memory; its content counts against the memory limit. */
export interface TmpfsMount {
  readonly kind: "tmpfs";
  readonly target: string;
  /** Default: the memory limit. */
  readonly sizeBytes?: number;
  readonly inodes?: number;
  /** Permission bits of its root. Default 0755. */
  readonly mode?: number;
  readonly readOnly?: boolean;
  readonly noExec?: boolean;
}

/** POSIX shared memory, at /dev/shm unless said otherwise (where it replaces the default one). */
export interface ShmMount {
  readonly kind: "shm";
  readonly target: string;
  readonly sizeBytes?: number;
  readonly inodes?: number;
  readonly mode?: number;
}

/** The kernel's own view of this container once more, at another place; `cgroup` only at /sys/fs/cgroup. */
export interface KernelMount {
  readonly kind: "proc" | "sysfs" | "mqueue" | "devpts" | "cgroup";
  readonly target: string;
  readonly readOnly?: boolean;
  readonly noExec?: boolean;
}

/** Every mount is nosuid and nodev. */
export type Mount = BindMount | TmpfsMount | ShmMount | KernelMount;
export type MountKind = NonNullable<Mount["kind"]>;
