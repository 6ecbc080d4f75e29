/** crun and runc: one bundle, run with the same rootfs, limits, namespaces and filter. They make no overlay. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, type Absent, type Contestant } from "../contestant.ts";
import type { Floor } from "../floor.ts";
import type { Place } from "../place.ts";
import { DENIED_CALLS } from "./filter.ts";

const CAPABILITIES = [
  ...["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
  ...["CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"],
];

const config = (place: Place, name: string): object => ({
  ociVersion: "1.0.2",
  process: {
    terminal: false,
    user: { uid: 0, gid: 0 },
    args: ["/bin/true"],
    env: ["PATH=/bin"],
    cwd: "/",
    noNewPrivileges: true,
    capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
  },
  root: { path: place.image, readonly: true },
  hostname: "bench",
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  ],
  linux: {
    uidMappings: [{ containerID: 0, hostID: 1_000_000, size: 65_536 }],
    gidMappings: [{ containerID: 0, hostID: 1_000_000, size: 65_536 }],
    resources: {
      memory: { limit: 67_108_864 },
      cpu: { shares: 512, quota: 20_000, period: 20_000 },
      pids: { limit: 64 },
    },
    cgroupsPath: `/${place.cgroupParent}/${name}`,
    namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup", "user"].map((type) => ({ type })),
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [{ names: DENIED_CALLS, action: "SCMP_ACT_ERRNO" }],
    },
    maskedPaths: [
      ...["kcore", "keys", "timer_list", "interrupts", "acpi", "scsi"].map((path) => `/proc/${path}`),
      "/sys/firmware",
    ],
    readonlyPaths: ["bus", "fs", "irq", "sys", "sysrq-trigger"].map((path) => `/proc/${path}`),
  },
});

export const ociPeer = (place: Place, launcher: Floor, name: "crun" | "runc"): Contestant | Absent => {
  const program = findProgram(name);
  if (program === undefined) return { name, absent: `not installed (Debian: apt-get install ${name})` };
  const bundle = join(place.directory, `bundle-${name}`);
  mkdirSync(bundle);
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config(place, name)));
  let serial = 0;
  const words = [program, "--root", join(place.directory, `root-${name}`), "run", "--bundle", bundle];
  return {
    name,
    start: () => launcher.spawn([...words, `${name}-${process.pid}-${(serial += 1)}`]),
    close: () => Promise.resolve(),
  };
};
