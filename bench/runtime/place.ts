/**
 * Where the benchmark lives: a temporary directory with the image and the compiled floor, and one cgroup parent in every
 * hierarchy that all contestants share. `close` takes all of it away again, also what a peer left.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBusyboxRootfs, readCgroupLayout, type CgroupLayout } from "@berth/native";

export interface Place {
  readonly directory: string;
  readonly image: string;
  readonly cgroupParent: string;
  readonly layout: CgroupLayout;
  readonly floorProgram: string;
  close(): void;
}

const here = fileURLToPath(new URL(".", import.meta.url));
const native = fileURLToPath(new URL("../../packages/native/", import.meta.url));

export const openPlace = async (): Promise<Place> => {
  const directory = mkdtempSync(join(tmpdir(), "berth-bench-"));
  /* Peers with a user namespace look at the image as somebody else. */
  chmodSync(directory, 0o755);
  const cgroupParent = `berth-bench-${process.pid}`;
  const image = join(directory, "busybox");
  const floorProgram = join(directory, "floor");
  const layout = readCgroupLayout();
  const close = (): void => {
    removeCgroups(cgroupParent);
    unmountBelow(directory);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await ensureBusyboxRootfs(image);
    compileFloor(floorProgram);
    for (const { path } of layout.hierarchies) mkdirSync(join(path, cgroupParent), { recursive: true });
  } catch (cause) {
    close();
    throw cause;
  }
  return { directory, image, cgroupParent, layout, floorProgram, close };
};

const compileFloor = (target: string): void => {
  const filter = join(native, "build", "native");
  if (!existsSync(join(filter, "seccomp_filter.h")))
    throw new Error("the native package is not built: pnpm build:native");
  const sources = ["container.c", "inside.c", "main.c"].map((name) => join(here, "floor", name));
  const flags = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"];
  execFileSync("gcc", [...flags, "-static", `-I${filter}`, "-o", target, ...sources], { stdio: "inherit" });
};

/** Engines leave their storage mounted on itself. */
const unmountBelow = (directory: string): void => {
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${directory}/`));
  for (const point of points.toReversed()) execFileSync("umount", [point], { stdio: "ignore" });
};

/** In every hierarchy: peers use more of them than Berth does. */
const removeCgroups = (parent: string): void => {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .flatMap((line) => (/ - cgroup2? /.test(line) ? [line.split(" ")[4] ?? ""] : []));
  const remove = (path: string): void => {
    if (!existsSync(path)) return;
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(path, entry.name));
    try {
      rmdirSync(path);
    } catch (cause) {
      process.stderr.write(`left behind: ${path} (${String(cause)})\n`);
    }
  };
  for (const mount of mounts) remove(join(mount, parent));
};
