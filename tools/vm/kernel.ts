/** Debian's kernel for the virtual machine: downloaded once, unpacked (never installed), and its modules in order. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

export const CACHE = process.env["BERTH_VM_CACHE"] ?? join(tmpdir(), "berth-vm");

/** What the machine needs beyond the kernel image: disk with quotas, shared root, overlayfs, and the links that tests make. */
const MODULES = [
  "virtio_pci",
  "virtio_blk",
  "ext4",
  "quota_v2",
  "crc32c_generic",
  "9p",
  "9pnet_virtio",
  "overlay",
  "veth",
  "bridge",
  "sch_tbf",
  "loop",
  "bfq",
];

export class VmFailure extends Error {}

const apt = (program: string, args: readonly string[], cwd: string, intent: string): string => {
  try {
    return execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 300_000 });
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim().split("\n").at(-1) : "";
    throw new VmFailure(
      `${intent} failed: ${said}\n` +
        "the virtual machine needs Debian's kernel package once: check that this machine reaches its Debian mirror,\n" +
        `or put an unpacked one (boot/ and lib/modules/) into ${join(CACHE, "kernel")}`,
      { cause: error },
    );
  }
};

const packageName = (cwd: string): string | undefined =>
  /Depends: (linux-image-\S+)/.exec(
    apt("apt-cache", ["depends", "linux-image-amd64"], cwd, "looking for a kernel"),
  )?.[1];

/** The unpacked kernel package. Two runs at once each unpack their own, and the first to finish stays. */
export const kernelDirectory = (): string => {
  const ready = join(CACHE, "kernel");
  if (existsSync(join(ready, "boot"))) return ready;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, "kernel-"));
  try {
    const known = packageName(work);
    if (known === undefined) apt("apt-get", ["-q", "update"], work, "reading the lists of packages");
    const name = known ?? packageName(work);
    if (name === undefined) throw new VmFailure("apt knows no linux-image-amd64: the v2 tests need Debian on x86-64");
    apt("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", name], work, `downloading ${name}`);
    const archive = readdirSync(work).find((file) => file.endsWith(".deb"));
    if (archive === undefined) throw new VmFailure(`${name} was not downloaded`);
    execFileSync("dpkg-deb", ["-x", archive, "tree"], { cwd: work });
    try {
      renameSync(join(work, "tree"), ready);
    } catch (error) {
      if (!existsSync(join(ready, "boot"))) throw error;
    }
    return ready;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
};

export const kernelImage = (kernel: string): string => {
  const image = readdirSync(join(kernel, "boot")).find((file) => file.startsWith("vmlinuz"));
  if (image === undefined) throw new VmFailure(`${kernel}/boot holds no vmlinuz`);
  return join(kernel, "boot", image);
};

/** Module names are spelled with dashes in some places and underscores in others. */
const canonical = (name: string): string => name.replaceAll("-", "_");

/** The `depends=` entry of a module's .modinfo section: a NUL-terminated string in the file. */
const dependsOf = (file: string): string[] => {
  const text = readFileSync(file, "latin1");
  const list = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? "";
  return list === "" ? [] : list.split(",").map(canonical);
};

/** Files of the modules in an order in which they can be loaded. */
export const moduleFiles = (kernel: string, more: readonly string[] = []): readonly string[] => {
  const root = join(kernel, "lib/modules");
  const found = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ko"));
  const files = new Map(found.map((file) => [canonical(basename(file, ".ko")), join(root, file)]));
  const order: string[] = [];
  const visit = (name: string): void => {
    const file = files.get(name);
    if (file === undefined || order.includes(file)) return;
    for (const dependency of dependsOf(file)) visit(dependency);
    order.push(file);
  };
  // virtio's parts are not always listed as dependencies of the drivers on top.
  for (const name of ["virtio", "virtio_ring", ...MODULES, ...more]) visit(canonical(name));
  return order;
};
