/** Whole distributions as tasks: how they are started, entered and stopped, and the smallest one, made here. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Cluster } from "./cluster.ts";

export interface Machines {
  /** Starts a service of this image; `name[0]` is its task. */
  readonly run: (name: string, image: string) => Promise<void>;
  readonly importAs: (archive: string, image: string) => Promise<void>;
  /** What a command prints there, or its exit status and what it complains of. */
  readonly inside: (name: string, ...command: string[]) => Promise<string>;
  /** Stopped by its own init: what that says last is in the log. */
  readonly stopped: (name: string, lastWords: string) => Promise<void>;
}

export const machinesOf = (cluster: Cluster, files: string): Machines => ({
  run: async (name, image) => {
    const path = join(files, `${name}.json`);
    const resources = { cpu: { request: 0.1 }, memory: { request: "64Mi", limit: "256Mi" } };
    writeFileSync(path, JSON.stringify({ name, kind: "service", image, resources }));
    const { code, stderr, stdout } = await cluster.cli(["run", path]);
    expect(code, stdout + stderr).toBe(0);
  },
  importAs: async (archive, image) => {
    const { code, stderr } = await cluster.cli(["image", "import", archive, image]);
    expect(code, stderr).toBe(0);
  },
  inside: async (name, ...command) => {
    const { code, stderr, stdout } = await cluster.cli(["exec", `${name}[0]`, "--", ...command]);
    return code === 0 ? stdout.trim() : `${code}: ${stderr}`;
  },
  stopped: async (name, lastWords) => {
    const { code, stderr } = await cluster.cli(["stop", name]);
    expect(code, stderr).toBe(0);
    await expect
      .poll(async () => (await cluster.cli(["logs", `${name}[0]`])).stdout, { timeout: 30_000 })
      .toContain(lastWords);
  },
});

/** A directory with the smallest distribution: busybox with its own init. */
export const busyboxRoot = (root: string): string => {
  for (const directory of ["bin", "sbin", "etc", "proc", "sys", "dev", "run", "tmp"]) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of ["sh", "cat", "id", "mount"]) symlinkSync("busybox", join(root, "bin", name));
  symlinkSync("/bin/busybox", join(root, "sbin/init"));
  writeFileSync(join(root, "etc/os-release"), 'ID=tiny\nPRETTY_NAME="Tiny"\n');
  writeFileSync(
    join(root, "etc/inittab"),
    "::sysinit:/bin/busybox echo booted by init\n::respawn:/bin/busybox sleep 100000\n::shutdown:/bin/busybox echo init shuts down\n",
  );
  return root;
};

/** As an archive. */
export const busyboxArchive = (directory: string): string => {
  const archive = `${directory}.tar.xz`;
  execFileSync("tar", ["-C", busyboxRoot(directory), "--owner=0", "--group=0", "-cJf", archive, "."]);
  return archive;
};
