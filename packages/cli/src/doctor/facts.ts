/** What this machine is, as far as Berth cares: read from /proc, /sys and PATH. Only reads; judge.ts says what it means. */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { release, totalmem } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { portHolder, portIsFree } from "../manager/ports.ts";

export interface PortFact {
  readonly what: string;
  readonly host: string;
  readonly port: number;
  readonly free: boolean;
  /** `nats-server (pid 4711)`, when it can be told. */
  readonly holder: string | undefined;
  /** Held by the cluster of this data directory: as it should be. */
  readonly ours: boolean;
}

export interface Facts {
  readonly uid: number;
  readonly node: string;
  readonly kernel: string;
  readonly namespaces: readonly string[];
  readonly maxUserNamespaces: number | undefined;
  /** How many requests of asynchronous I/O all programs of the machine together may have prepared. */
  readonly aioMaxNr: number | undefined;
  readonly memoryBytes: number;
  readonly filesystems: readonly string[];
  readonly overlayLoadable: boolean;
  readonly seccompActions: readonly string[];
  readonly cgroup: { readonly kind: string; readonly missing: readonly string[] } | { readonly error: string };
  readonly pressure: boolean;
  readonly programs: Readonly<Record<Program, string | undefined>>;
  readonly natsVersion: string | undefined;
  readonly nativeBuilt: boolean;
  readonly ports: readonly PortFact[];
  readonly dataDir: {
    readonly path: string;
    readonly filesystem: string;
    readonly freeBytes: number;
    readonly writable: boolean;
  };
  readonly nowMs: number;
  /** When this program was built: the clock cannot be before it. */
  readonly builtAtMs: number;
}

export const PROGRAMS = ["nats-server", "nft", "ip", "nsenter", "flock", "setpriv", "busybox"] as const;
export type Program = (typeof PROGRAMS)[number];

const tryRead = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

/** Debian's daemons lie in directories that not every user has on PATH. */
export const findProgram = (name: string, env: Readonly<Record<string, string | undefined>>): string | undefined => {
  const directories = [
    ...(env["PATH"] ?? "").split(delimiter),
    "/usr/sbin",
    "/sbin",
    "/usr/local/sbin",
    "/usr/bin",
    "/bin",
  ];
  for (const directory of directories) {
    if (directory === "") continue;
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there: the next one.
    }
  }
  return undefined;
};

const natsVersionOf = (path: string | undefined): string | undefined => {
  if (path === undefined) return undefined;
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8", timeout: 10_000 });
  return /v?(\d+\.\d+\.\d+)/.exec(stdout ?? "")?.[1];
};

const overlayModule = (kernel: string): boolean => {
  const directory = `/lib/modules/${kernel}/kernel/fs/overlayfs`;
  try {
    return readdirSync(directory).some((name) => name.startsWith("overlay.ko"));
  } catch {
    return false;
  }
};

const cgroupFact = async (): Promise<Facts["cgroup"]> => {
  try {
    const { readCgroupLayout } = await import("@berth/native");
    const { kind, missing } = readCgroupLayout();
    return { kind, missing };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
};

/** The nearest directory above that exists. */
const existing = (path: string): string =>
  existsSync(path) ? path : path === dirname(path) ? path : existing(dirname(path));

const dataDirFact = (path: string): Facts["dataDir"] => {
  const at = existing(path);
  const { type, bavail, bsize } = statfsSync(at);
  let writable = true;
  try {
    accessSync(at, constants.W_OK);
  } catch {
    writable = false;
  }
  return { path, filesystem: FILESYSTEMS[type] ?? `type ${type.toString(16)}`, freeBytes: bavail * bsize, writable };
};

/** statfs(2), and include/uapi/linux/magic.h. */
const FILESYSTEMS: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x01021994: "tmpfs",
  0x794c7630: "overlay",
  0x6969: "nfs",
  0xff534d42: "cifs",
  0x65735546: "fuse",
  0x2fc12fc1: "zfs",
  0xca451a4e: "bcachefs",
  0xf2f52010: "f2fs",
};

export interface FactOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly dataDir: string;
  readonly ports: readonly { readonly what: string; readonly host: string; readonly port: number }[];
  /** True when a cluster of this data directory is running: its ports are in use, and rightly so. */
  readonly running: boolean;
  readonly nowMs: number;
}

export const gatherFacts = async (options: FactOptions): Promise<Facts> => {
  const kernel = release();
  const programs = Object.fromEntries(
    PROGRAMS.map((name) => [name, findProgram(name, options.env)]),
  ) as Facts["programs"];
  const ports = await Promise.all(
    options.ports.map(async (one): Promise<PortFact> => {
      const free = await portIsFree(one.host, one.port);
      return { ...one, free, holder: free ? undefined : portHolder(one.port), ours: !free && options.running };
    }),
  );
  return {
    uid: process.geteuid?.() ?? -1,
    node: process.versions.node,
    kernel,
    namespaces: readdirSync("/proc/self/ns"),
    maxUserNamespaces: numberIn("/proc/sys/user/max_user_namespaces"),
    aioMaxNr: numberIn("/proc/sys/fs/aio-max-nr"),
    memoryBytes: totalmem(),
    filesystems: (tryRead("/proc/filesystems") ?? "").split("\n").map((line) => line.trim().split(/\s+/).at(-1) ?? ""),
    overlayLoadable: overlayModule(kernel),
    seccompActions: (tryRead("/proc/sys/kernel/seccomp/actions_avail") ?? "")
      .split(/\s+/)
      .filter((word) => word !== ""),
    cgroup: await cgroupFact(),
    // The file exists but cannot be read when pressure is compiled in and switched off.
    pressure: tryRead("/proc/pressure/cpu") !== undefined,
    programs,
    natsVersion: natsVersionOf(options.env["NATS_SERVER_BIN"] ?? programs["nats-server"]),
    nativeBuilt: existsSync(new URL("../../../native/build/native/berth_native.node", import.meta.url)),
    ports,
    dataDir: dataDirFact(options.dataDir),
    nowMs: options.nowMs,
    builtAtMs: statSync(new URL(import.meta.url)).mtimeMs,
  };
};

const numberIn = (path: string): number | undefined => {
  const text = tryRead(path);
  return text === undefined ? undefined : Number(text.trim());
};
