/**
 * What the facts mean for Berth: one check each, with what to do when it is not fine. Pure. `bad` means that Berth cannot
 * run here, `warn` that something works less well.
 */
import { formatBytes } from "@berth/schema";
import type { Facts, Program } from "./facts.ts";

export interface Check {
  readonly id: string;
  readonly status: "ok" | "warn" | "bad";
  readonly detail: string;
  readonly fix: string | null;
}

const ok = (id: string, detail: string): Check => ({ id, status: "ok", detail, fix: null });
const warn = (id: string, detail: string, fix: string): Check => ({ id, status: "warn", detail, fix });
const bad = (id: string, detail: string, fix: string): Check => ({ id, status: "bad", detail, fix });

const NAMESPACES = ["user", "pid", "mnt", "net", "uts", "ipc", "cgroup"] as const;

/** True when a version like `6.1.0-13-amd64` is at least `major.minor`. */
export const kernelAtLeast = (kernel: string, major: number, minor: number): boolean => {
  const [a = 0, b = 0] = kernel.split(/[.-]/).map(Number);
  return a > major || (a === major && b >= minor);
};

const root = ({ uid }: Facts): Check =>
  uid === 0
    ? ok("root", "running as root")
    : bad("root", "not running as root: namespaces, mounts and cgroups are made by root", "run it again with sudo");

const node = (facts: Facts): Check =>
  kernelAtLeast(facts.node, 20, 19)
    ? ok("node", `Node ${facts.node}`)
    : bad("node", `Node ${facts.node} is too old`, "install Node 20.19 or newer");

const kernel = ({ kernel: version }: Facts): Check =>
  kernelAtLeast(version, 5, 10)
    ? ok("kernel", `Linux ${version}`)
    : bad(
        "kernel",
        `Linux ${version} is too old: clone3, pidfds and openat2 are needed`,
        "use a kernel of 5.10 or newer (Debian 11 has it)",
      );

const namespaces = (facts: Facts): Check => {
  const missing = NAMESPACES.filter((name) => !facts.namespaces.includes(name));
  return missing.length === 0
    ? ok("namespaces", NAMESPACES.join(", "))
    : bad(
        "namespaces",
        `the kernel has no ${missing.join(", ")} namespace`,
        "use a kernel with all namespaces (Debian's has them)",
      );
};

const userNamespaces = ({ maxUserNamespaces: most }: Facts): Check => {
  const fix = "sysctl -w user.max_user_namespaces=65536 (and in /etc/sysctl.d for good)";
  if (most === undefined)
    return bad("user namespaces", "the kernel has none", "use a kernel with CONFIG_USER_NS (Debian's has it)");
  if (most === 0) return bad("user namespaces", "they are switched off: each container has its own", fix);
  return most < 1024
    ? warn("user namespaces", `at most ${most} containers`, fix)
    : ok("user namespaces", `up to ${most}`);
};

/** What the kernel takes of a container's memory for each request that it has prepared: an io_event, twice. */
const AIO_BYTES = 64;

/** Undefined: a kernel without it. */
const asynchronousIo = ({ aioMaxNr: most, memoryBytes }: Facts): Check => {
  const enough = Math.ceil(memoryBytes / AIO_BYTES);
  if (most === undefined || most >= enough) return ok("asynchronous I/O", "nobody can take it all from the others");
  return warn(
    "asynchronous I/O",
    `${most} requests for the whole machine: one container can take them all`,
    `sysctl -w fs.aio-max-nr=${enough} (and in /etc/sysctl.d for good): memory limits then end it first`,
  );
};

const overlay = (facts: Facts): Check => {
  if (facts.filesystems.includes("overlay")) return ok("overlayfs", "available");
  return facts.overlayLoadable
    ? ok("overlayfs", "available as a module")
    : bad(
        "overlayfs",
        "the kernel has no overlayfs: container file systems are made with it",
        "use a kernel with CONFIG_OVERLAY_FS (Debian's has it)",
      );
};

const idmapped = (facts: Facts): Check =>
  kernelAtLeast(facts.kernel, 5, 12)
    ? ok("idmapped mounts", "the kernel has them; whether they work depends on the file system")
    : warn(
        "idmapped mounts",
        "came with Linux 5.12",
        "nothing needs them yet; a newer kernel makes images cheaper to share",
      );

const seccomp = (facts: Facts): Check => {
  const missing = ["errno", "kill_process", "allow"].filter((action) => !facts.seccompActions.includes(action));
  return missing.length === 0
    ? ok("seccomp", "filters with errno and kill")
    : bad(
        "seccomp",
        facts.seccompActions.length === 0 ? "the kernel has no seccomp filters" : `without ${missing.join(", ")}`,
        "use a kernel with CONFIG_SECCOMP_FILTER (Debian's has it)",
      );
};

const cgroup = ({ cgroup: found }: Facts): Check => {
  if ("error" in found)
    return bad("cgroups", `cannot be read: ${found.error}`, "npm run setup (builds what reads them)");
  const vital = found.missing.filter((sentence) => !/freezer|cpuacct/.test(sentence));
  if (vital.length > 0)
    return bad(
      "cgroups",
      `${found.kind}: ${vital.join(" ")}`,
      "mount cgroup v2 with cpu, memory and pids: Debian does so by default",
    );
  if (found.missing.length > 0)
    return warn("cgroups", `${found.kind}: ${found.missing.join(" ")}`, "cgroup v2 has everything");
  return found.kind === "v2"
    ? ok("cgroups", "v2 with cpu, memory, pids")
    : ok("cgroups", `${found.kind} with cpu, memory, pids; v2 starts containers faster`);
};

const pressure = (facts: Facts): Check =>
  facts.pressure
    ? ok("pressure", "available (PSI)")
    : warn("pressure", "the kernel does not measure it: the dashboard shows none", "boot with psi=1");

const pidfd = (facts: Facts): Check =>
  kernelAtLeast(facts.kernel, 5, 4)
    ? ok("pidfd", "available")
    : bad("pidfd", "came with Linux 5.4", "use a newer kernel");

const natsServer = (facts: Facts): Check => {
  const fix = "apt-get install nats-server";
  if (facts.natsVersion === undefined) return bad("nats-server", "is not installed: everything is said over it", fix);
  return kernelAtLeast(facts.natsVersion, 2, 9)
    ? ok("nats-server", facts.natsVersion)
    : bad("nats-server", `${facts.natsVersion} is too old, 2.9 is the oldest that works`, fix);
};

const PACKAGES: readonly (readonly [Exclude<Program, "nats-server">, string, string, "bad" | "warn"])[] = [
  ["busybox", "busybox-static", "the built-in image is made of it", "bad"],
  ["flock", "util-linux", "it keeps two schedulers apart", "bad"],
  ["setpriv", "util-linux", "the scheduler starts its nats-server with it", "bad"],
  ["nsenter", "util-linux", "--hosts starts agents with it", "warn"],
  ["ip", "iproute2", "--hosts makes networks with it", "warn"],
  ["nft", "nftables", "nothing needs it yet", "warn"],
];

const programs = (facts: Facts): Check[] =>
  PACKAGES.map(([name, debian, why, status]) => {
    const path = facts.programs[name];
    if (path !== undefined) return ok(name, path);
    return { id: name, status, detail: `is not installed: ${why}`, fix: `apt-get install ${debian}` };
  });

const native = (facts: Facts): Check =>
  facts.nativeBuilt ? ok("native package", "built") : bad("native package", "is not built", "npm run setup");

const ports = (facts: Facts): Check[] =>
  facts.ports.map(({ what, host, port, free, holder, ours }) => {
    const id = `port ${port}`;
    if (free) return ok(id, `free on ${host} (${what})`);
    if (ours) return ok(id, `in use on ${host} by this cluster (${what})`);
    const flag = what === "API" ? "--api-port" : "--nats-port";
    return bad(
      id,
      `${holder ?? "another program"} uses it on ${host} (${what})`,
      `stop that, or choose another one: berth up ${flag} PORT`,
    );
  });

const GIB = 2 ** 30;
const REMOTE = ["nfs", "cifs", "fuse"];

const dataDir = ({ dataDir: { path, filesystem, freeBytes, writable } }: Facts): Check => {
  const detail = `${path} on ${filesystem}, ${formatBytes(freeBytes)} free`;
  if (!writable)
    return bad("data directory", `${detail}: not writable`, "run it as root, or choose another one with --data-dir");
  if (REMOTE.includes(filesystem))
    return bad(
      "data directory",
      `${detail}: locks and overlays need a local file system`,
      "choose a local one with --data-dir",
    );
  if (filesystem === "overlay") {
    return warn(
      "data directory",
      `${detail}: containers cannot have overlays on an overlay`,
      "choose another file system with --data-dir",
    );
  }
  if (filesystem === "tmpfs")
    return warn(
      "data directory",
      `${detail}: everything is gone after a restart`,
      "choose one on disk with --data-dir",
    );
  if (freeBytes < GIB)
    return warn("data directory", `${detail}: that is little`, "make room, or choose another one with --data-dir");
  return ok("data directory", detail);
};

const clock = ({ nowMs, builtAtMs }: Facts): Check => {
  const now = new Date(nowMs).toISOString();
  // Files may be newer than a clock that was set back a little; a day is no rounding error.
  return nowMs >= builtAtMs - 86_400_000
    ? ok("clock", now)
    : warn(
        "clock",
        `${now} is before this program was built`,
        "set the clock, and keep it set with chrony or systemd-timesyncd",
      );
};

/** All checks, in the order in which one would mend them. */
export const judge = (facts: Facts): Check[] => [
  root(facts),
  node(facts),
  kernel(facts),
  namespaces(facts),
  userNamespaces(facts),
  asynchronousIo(facts),
  overlay(facts),
  idmapped(facts),
  seccomp(facts),
  cgroup(facts),
  pressure(facts),
  pidfd(facts),
  natsServer(facts),
  ...programs(facts),
  native(facts),
  ...ports(facts),
  dataDir(facts),
  clock(facts),
];
