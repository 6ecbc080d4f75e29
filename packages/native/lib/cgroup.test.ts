/** Who is meant by the numbers in a cgroup.procs: a plain directory stands for the hierarchy. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ContainerCgroup } from "./cgroup.ts";
import type { CgroupLayout } from "./cgroup-layout.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-cgroup-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A cgroup in which these are listed. */
const listing = (procs: string): ContainerCgroup => {
  const layout: CgroupLayout = {
    kind: "v2",
    hierarchies: [{ path: root, version: 2, controllers: [] }],
    onDemand: [],
    missing: [],
  };
  const cgroup = new ContainerCgroup(layout, "parent", "id");
  mkdirSync(cgroup.pathIn(root), { recursive: true });
  writeFileSync(join(cgroup.pathIn(root), "cgroup.procs"), procs);
  return cgroup;
};

test("one that is released while v2 lists it shows as 0, and is nobody", async () => {
  expect(await listing("0\n4000001\n0\n").pids()).toEqual([4_000_001]);
  expect(await listing("0\n").kill(0)).toBe(true);
});

test("a number that a thread of somebody else has by now is nobody's", async () => {
  const thread = readdirSync("/proc/self/task").find((number) => Number(number) !== process.pid);
  expect(await listing(`${thread}\n`).kill(0)).toBe(false);
});
