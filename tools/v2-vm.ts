/**
 * Runs one command in a small virtual machine whose only cgroup hierarchy is v2, with this file system shared read-only:
 *
 *   tsx tools/v2-vm.ts [--memory 3072] [--timeout 1500] -- COMMAND [ARG …]
 *
 * Many development machines (and containers) mount cgroups v1 or hybrid; real hosts run v2. The machine boots Debian's own
 * kernel under qemu (software emulation; BERTH_VM_ACCEL=kvm where that works), takes its root from the host over 9p, and has an ext4
 * scratch disk at /tmp because overlayfs uppers and id-mapped mounts need a real file system. Output goes to stdout as it
 * comes; the exit code is the command's. Nothing of the host is written to.
 */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";

const CACHE = process.env["BERTH_VM_CACHE"] ?? join(tmpdir(), "berth-v2-vm");
/** What the machine needs beyond the kernel image: disk, shared root, overlayfs, and the links that tests make. */
const MODULES = [
  "virtio_pci",
  "virtio_blk",
  "ext4",
  "crc32c_generic",
  "9p",
  "9pnet_virtio",
  "overlay",
  "veth",
  "bridge",
  "sch_tbf",
];
const EXIT_MARK = "berth-v2-vm-exit:";

const INIT = `#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /proc /sys /dev /root
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs devtmpfs /dev
for module in $($B cat /modules/order); do $B insmod /modules/$module || echo "insmod $module failed"; done
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro root /root || exec $B poweroff -f
$B mount -t proc proc /root/proc
$B mount -t sysfs sysfs /root/sys
$B mount -t devtmpfs devtmpfs /root/dev
$B mkdir -p /root/dev/pts /root/dev/shm
$B mount -t devpts devpts /root/dev/pts
$B mount -t tmpfs tmpfs /root/dev/shm
$B mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
$B mount -t tmpfs tmpfs /root/run
$B mount -t ext4 /dev/vda /root/tmp
$B mount -t tmpfs tmpfs /root/root
$B ip link set lo up
$B hostname berth-v2
$B cp /command /root/run/berth-v2-vm
# Not chroot: a process in a chroot may create no user namespace (user_namespaces(7)).
exec $B switch_root /root /bin/busybox sh /run/berth-v2-vm
`;

const fail = (message: string): never => {
  console.error(`v2-vm: ${message}`);
  process.exit(2);
};

/** Debian's kernel package, downloaded once and unpacked (not installed: the host's boot files are none of our business). */
const kernelDirectory = (): string => {
  const directory = join(CACHE, "kernel");
  if (existsSync(join(directory, "complete"))) return directory;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const depends = execFileSync("apt-cache", ["depends", "linux-image-amd64"], { encoding: "utf8" });
  const name =
    /Depends: (linux-image-\S+)/.exec(depends)?.[1] ??
    fail("linux-image-amd64 is not known to apt; run apt-get update");
  execFileSync("apt-get", ["-o", "APT::Sandbox::User=root", "download", name], { cwd: directory, stdio: "ignore" });
  const archive = readdirSync(directory).find((file) => file.endsWith(".deb")) ?? fail(`${name} was not downloaded`);
  execFileSync("dpkg-deb", ["-x", archive, "tree"], { cwd: directory });
  rmSync(join(directory, archive));
  writeFileSync(join(directory, "complete"), "");
  return directory;
};

/** Module names are spelled with dashes in some places and underscores in others. */
const canonical = (name: string): string => name.replaceAll("-", "_");

const moduleFiles = (root: string): Map<string, string> => {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ko"));
  return new Map(files.map((file) => [canonical(basename(file, ".ko")), join(root, file)]));
};

/** The `depends=` entry of a module's .modinfo section: a NUL-terminated string in the file. */
const dependsOf = (file: string): string[] => {
  const text = readFileSync(file, "latin1");
  const list = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? "";
  return list === "" ? [] : list.split(",").map(canonical);
};

const loadOrder = (files: Map<string, string>): string[] => {
  const order: string[] = [];
  const visit = (name: string): void => {
    const file = files.get(name);
    if (file === undefined || order.includes(file)) return;
    for (const dependency of dependsOf(file)) visit(dependency);
    order.push(file);
  };
  // virtio's parts are not always listed as dependencies of the drivers on top.
  for (const name of ["virtio", "virtio_ring", ...MODULES]) visit(canonical(name));
  return order;
};

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

const makeInitramfs = (kernel: string, directory: string, command: readonly string[]): string => {
  const tree = join(directory, "initramfs");
  for (const folder of ["bin", "modules"]) mkdirSync(join(tree, folder), { recursive: true });
  cpSync("/bin/busybox", join(tree, "bin/busybox"));
  const order = loadOrder(moduleFiles(join(kernel, "tree/lib/modules")));
  for (const file of order) cpSync(file, join(tree, "modules", basename(file)));
  writeFileSync(join(tree, "modules/order"), order.map((file) => basename(file)).join("\n"));
  const environment = {
    PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    CI: process.env["CI"] ?? "",
    BERTH_V2_VM: "1",
  };
  const inside = `cd ${quote(process.cwd())} && exec ${command.map(quote).join(" ")}`;
  const variables = Object.entries(environment).map(([key, value]) => quote(`${key}=${value}`));
  writeFileSync(
    join(tree, "command"),
    `/usr/bin/env -i ${variables.join(" ")} /bin/sh -c ${quote(inside)}\n` +
      `echo "${EXIT_MARK}$?"\nsync\n/bin/busybox poweroff -f\n`,
  );
  writeFileSync(join(tree, "init"), INIT, { mode: 0o755 });
  const image = join(directory, "initramfs.cpio");
  execFileSync("sh", [
    "-c",
    `cd ${quote(tree)} && find . | /bin/busybox cpio -o -H newc > ${quote(image)} 2>/dev/null`,
  ]);
  return image;
};

/** Software emulation unless asked otherwise: a nested KVM may be offered and still hang at the first instruction. */
const accelerator = (): string[] => ["-accel", process.env["BERTH_VM_ACCEL"] === "kvm" ? "kvm" : "tcg,thread=multi"];

const run = async (command: readonly string[], memoryMiB: string, timeoutS: number): Promise<number> => {
  mkdirSync(CACHE, { recursive: true });
  const kernel = kernelDirectory();
  const boot = join(kernel, "tree/boot");
  const image =
    readdirSync(boot).find((file) => file.startsWith("vmlinuz")) ?? fail("the kernel package holds no vmlinuz");
  const directory = mkdtempSync(join(CACHE, "run-"));
  try {
    const disk = join(directory, "scratch.img");
    execFileSync("truncate", ["-s", "4G", disk]);
    execFileSync("mkfs.ext4", ["-q", "-F", disk], { stdio: "ignore" });
    const qemu = spawn(
      "qemu-system-x86_64",
      [
        ...accelerator(),
        ...[
          "-cpu",
          "max,arch-capabilities=off",
          "-smp",
          "2",
          "-m",
          memoryMiB,
          "-nodefaults",
          "-no-reboot",
          "-display",
          "none",
          "-serial",
          "stdio",
        ],
        ...["-kernel", resolve(boot, image), "-initrd", makeInitramfs(kernel, directory, command)],
        ...["-append", "console=ttyS0 quiet loglevel=3 panic=-1 psi=1 rdinit=/init"],
        ...["-drive", `file=${disk},format=raw,if=virtio,cache=unsafe`],
        ...["-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"],
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const timer = setTimeout(() => {
      console.error(`v2-vm: no end after ${timeoutS} s`);
      qemu.kill("SIGKILL");
    }, timeoutS * 1000);
    let tail = "";
    qemu.stdout.setEncoding("utf8").on("data", (text: string) => {
      process.stdout.write(text);
      tail = (tail + text).slice(-4096);
    });
    await new Promise<void>((done) => qemu.once("close", () => done()));
    clearTimeout(timer);
    const code = new RegExp(`${EXIT_MARK}(\\d+)`).exec(tail)?.[1];
    return code === undefined ? 1 : Number(code);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

const { values, positionals } = parseArgs({
  options: { memory: { type: "string", default: "3072" }, timeout: { type: "string", default: "1500" } },
  allowPositionals: true,
});
if (positionals.length === 0) fail("usage: tsx tools/v2-vm.ts [--memory MiB] [--timeout SECONDS] -- COMMAND [ARG …]");
process.exitCode = await run(positionals, values.memory, Number(values.timeout));
