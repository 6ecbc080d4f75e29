/**
 * Runs one command in a small virtual machine whose only cgroup hierarchy is v2, or which has v1 alone, with this file system
 * shared read-only:
 *
 *   tsx tools/vm.ts [--cgroups v1|v2] [--memory 3072] [--timeout 900] [--result FILE] -- COMMAND [ARG …]
 *
 * Many development machines (and containers) mount cgroups v1 or hybrid; real hosts run v2. The machine boots Debian's own
 * kernel under qemu (software emulation; BERTH_VM_ACCEL=kvm where that works), takes its root from the host over 9p, and
 * has an ext4 scratch disk with project quotas at /tmp because overlayfs uppers and id-mapped mounts need a real file
 * system. It has two memory nodes. Output goes to stdout as it comes; the exit code is the command's, 124 after the
 * time-out. What the command writes to the device $BERTH_VM_RESULT becomes FILE. Nothing else of the host is written to.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { baseMachine, makeDisk, mountHost, packInitramfs, quote } from "./vm/initramfs.ts";
import { CACHE, kernelDirectory, kernelImage, VmFailure } from "./vm/kernel.ts";

const EXIT_MARK = "berth-vm-exit:";
const BOOT_TIMEOUT_S = 120;

type Cgroups = "v1" | "v2";

/** v1 as init systems of its time mount it: one hierarchy a controller, and no v2 beside them. */
const V1_CONTROLLERS = ["cpu,cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio", "hugetlb"];
const mountCgroups: Record<Cgroups, string> = {
  v1: `$B mount -t tmpfs tmpfs /root/sys/fs/cgroup
for controllers in ${V1_CONTROLLERS.join(" ")}; do
$B mkdir /root/sys/fs/cgroup/$controllers
$B mount -t cgroup -o $controllers cgroup /root/sys/fs/cgroup/$controllers
done`,
  v2: "$B mount -t cgroup2 cgroup2 /root/sys/fs/cgroup",
};

/** What is mounted over /tmp, /root and /run may hide the checkout: it is held before and put back after. */
const init = (checkout: string, cgroups: Cgroups): string => `#!/bin/busybox sh
${mountHost("/root")}
$B mkdir -p /checkout
$B mount -o bind /root${quote(checkout)} /checkout
$B mount -t proc proc /root/proc
$B mount -t sysfs sysfs /root/sys
$B mount -t devtmpfs devtmpfs /root/dev
$B mkdir -p /root/dev/pts /root/dev/shm
$B mount -t devpts devpts /root/dev/pts
$B mount -t tmpfs tmpfs /root/dev/shm
${mountCgroups[cgroups]}
$B mount -t tmpfs tmpfs /root/run
$B mount -t ext4 -o prjquota /dev/vda /root/tmp
$B mount -t tmpfs tmpfs /root/root
[ -e /root${quote(checkout)}/package.json ] || { $B mkdir -p /root${quote(checkout)} && $B mount -o bind /checkout /root${quote(checkout)}; }
$B ip link set lo up
$B stty -F /dev/ttyS1 raw -echo
echo "vm: $($B uname -r) booted in $($B cut -d' ' -f1 /proc/uptime) s"
$B hostname berth-vm
$B cp /command /root/run/berth-vm
# Not chroot: a process in a chroot may create no user namespace (user_namespaces(7)).
exec $B switch_root /root /bin/busybox sh /run/berth-vm
`;

/** Output goes through a pipe: what sees a terminal draws on it. */
const commandScript = (command: readonly string[]): string => {
  const environment = {
    PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    CI: process.env["CI"] ?? "",
    NO_COLOR: "1",
    BERTH_VM: "1",
    BERTH_VM_RESULT: "/dev/ttyS1",
  };
  const inside = `cd ${quote(process.cwd())} && exec ${command.map(quote).join(" ")}`;
  const variables = Object.entries(environment).map(([key, value]) => quote(`${key}=${value}`));
  return [
    `{ /usr/bin/env -i ${variables.join(" ")} /bin/sh -c ${quote(inside)} </dev/null 2>&1; echo $? >/run/exit; } | /bin/cat`,
    `echo "${EXIT_MARK}$(/bin/cat /run/exit)"`,
    "sync",
    "/bin/busybox poweroff -f",
    "",
  ].join("\n");
};

interface Options {
  readonly cgroups: Cgroups;
  readonly memoryMiB: string;
  readonly timeoutS: number;
  readonly result: string | undefined;
}

/** One processor and half of the memory in each. */
const twoNodes = (memoryMiB: number): string[] =>
  [Math.floor(memoryMiB / 2), Math.ceil(memoryMiB / 2)].flatMap((size, node) => [
    ...["-object", `memory-backend-ram,id=node${node},size=${size}M`],
    ...["-numa", `node,nodeid=${node},cpus=${node},memdev=node${node}`],
  ]);

const machine = (kernel: string, initramfs: string, disk: string, options: Options): string[] => [
  ...baseMachine({
    kernelImage: resolve(kernelImage(kernel)),
    initramfs,
    disk,
    memoryMiB: options.memoryMiB,
    append: "",
  }),
  ...twoNodes(Number(options.memoryMiB)),
  ...["-serial", "stdio"],
  ...["-serial", options.result === undefined ? "null" : `file:${resolve(options.result)}`],
];

/** Resolves to the exit code of the command. */
const watch = async (args: readonly string[], timeoutS: number): Promise<number> => {
  const qemu = spawn("qemu-system-x86_64", args, { stdio: ["ignore", "pipe", "inherit"] });
  let why: string | undefined;
  const end = (reason: string): void => {
    why = reason;
    qemu.kill("SIGKILL");
  };
  const booted = setTimeout(
    () => end(`not a word after ${BOOT_TIMEOUT_S} s: the machine does not boot`),
    BOOT_TIMEOUT_S * 1000,
  );
  const timer = setTimeout(() => end(`no end after ${timeoutS} s`), timeoutS * 1000);
  process.once("SIGINT", () => end("interrupted"));
  process.once("SIGTERM", () => end("interrupted"));
  let tail = "";
  qemu.stdout.setEncoding("utf8").on("data", (text: string) => {
    clearTimeout(booted);
    process.stdout.write(text.replaceAll("\r\n", "\n"));
    tail = (tail + text).slice(-4096);
  });
  try {
    await new Promise<void>((done, failed) => {
      qemu.once("close", () => done());
      qemu.once("error", (cause) =>
        failed(new VmFailure(`qemu cannot be run: ${cause.message} (Debian: apt-get install qemu-system-x86)`)),
      );
    });
  } finally {
    clearTimeout(booted);
    clearTimeout(timer);
  }
  if (why !== undefined) {
    console.error(`vm: ${why}`);
    return 124;
  }
  const code = new RegExp(`${EXIT_MARK}(\\d+)`).exec(tail)?.[1];
  if (code === undefined) console.error("vm: the machine stopped before the command had ended");
  return code === undefined ? 125 : Number(code);
};

const run = async (command: readonly string[], options: Options): Promise<number> => {
  const kernel = kernelDirectory();
  const directory = mkdtempSync(join(CACHE, "run-"));
  try {
    const disk = join(directory, "scratch.img");
    makeDisk(disk);
    const files = { init: init(process.cwd(), options.cgroups), command: commandScript(command) };
    const initramfs = packInitramfs(kernel, directory, files);
    return await watch(machine(kernel, initramfs, disk, options), options.timeoutS);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

const { values, positionals } = parseArgs({
  options: {
    cgroups: { type: "string", default: "v2" },
    memory: { type: "string", default: "3072" },
    timeout: { type: "string", default: "900" },
    result: { type: "string" },
  },
  allowPositionals: true,
});
try {
  if (positionals.length === 0)
    throw new VmFailure(
      "usage: tsx tools/vm.ts [--cgroups v1|v2] [--memory MiB] [--timeout SECONDS] [--result FILE] -- COMMAND [ARG …]",
    );
  const { cgroups } = values;
  if (cgroups !== "v1" && cgroups !== "v2") throw new VmFailure(`--cgroups is v1 or v2, not ${cgroups}`);
  process.exitCode = await run(positionals, {
    cgroups,
    memoryMiB: values.memory,
    timeoutS: Number(values.timeout),
    result: values.result,
  });
} catch (error) {
  if (!(error instanceof VmFailure)) throw error;
  console.error(`vm: ${error.message}`);
  process.exitCode = 2;
}
