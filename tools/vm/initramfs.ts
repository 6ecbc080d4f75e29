/** The first file system of a virtual machine: busybox, the kernel's modules in order, and what the machine shall do. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { moduleFiles } from "./kernel.ts";

export const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** What every machine begins with; leaves the root of the host, read-only, at `lower`. */
export const mountHost = (lower: string): string => `B=/bin/busybox
$B mkdir -p /proc /sys /dev ${lower}
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs devtmpfs /dev
for module in $($B cat /modules/order); do $B insmod /modules/$module || echo "insmod $module failed"; done
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro root ${lower} || exec $B poweroff -f`;

/** `files`: name → text, of which `init` is what the kernel starts. Resolves to the path of the archive. */
export const packInitramfs = (
  kernel: string,
  directory: string,
  files: Readonly<Record<string, string>>,
  moreModules: readonly string[] = [],
): string => {
  const tree = join(directory, "initramfs");
  for (const folder of ["bin", "modules"]) mkdirSync(join(tree, folder), { recursive: true });
  cpSync("/bin/busybox", join(tree, "bin/busybox"));
  const order = moduleFiles(kernel, moreModules);
  for (const file of order) cpSync(file, join(tree, "modules", basename(file)));
  writeFileSync(join(tree, "modules/order"), order.map((file) => basename(file)).join("\n"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(tree, name), text, { mode: 0o755 });
  const image = join(directory, "initramfs.cpio");
  execFileSync("sh", [
    "-c",
    `cd ${quote(tree)} && find . | /bin/busybox cpio -o -H newc > ${quote(image)} 2>/dev/null`,
  ]);
  return image;
};

/** Software emulation unless asked otherwise: a nested KVM may be offered and still hang at the first instruction. */
export const accelerator = (): string => (process.env["BERTH_VM_ACCEL"] === "kvm" ? "kvm" : "tcg,thread=multi");

/**
 * What qemu is told of every machine: two processors, the host's root file system read-only, a disk at /dev/vda. Both have one
 * time stamp counter, the host's, which their kernel does not know (unsynchronized_tsc in arch/x86/kernel/tsc.c): it would keep
 * two times, and pressure is measured in one of them and waited for in the other (psi_poll_work in kernel/sched/psi.c).
 */
export const baseMachine = (options: {
  readonly kernelImage: string;
  readonly initramfs: string;
  readonly disk: string;
  readonly memoryMiB: string;
  readonly append: string;
}): string[] => [
  ...["-accel", accelerator(), "-cpu", "max,arch-capabilities=off", "-smp", "2", "-m", options.memoryMiB],
  ...["-nodefaults", "-no-reboot", "-display", "none"],
  ...["-kernel", options.kernelImage, "-initrd", options.initramfs],
  ...["-append", `console=ttyS0 quiet loglevel=3 panic=-1 psi=1 tsc=reliable rdinit=/init ${options.append}`],
  ...["-drive", `file=${options.disk},format=raw,if=virtio,cache=unsafe`],
  ...["-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"],
];

/** A sparse ext4 disk with project quotas. */
export const makeDisk = (path: string): void => {
  execFileSync("truncate", ["-s", "4G", path]);
  const quotas = ["-O", "quota,project", "-E", "quotatype=prjquota"];
  execFileSync("mkfs.ext4", ["-q", "-F", ...quotas, path], { stdio: "ignore" });
};
