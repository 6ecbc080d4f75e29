/** Who is meant by the numbers in a cgroup.procs: a plain directory stands for the hierarchy. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

test("one that is released while v2 lists it shows as 0, and is nobody", async () => {
  const layout: CgroupLayout = {
    kind: "v2",
    hierarchies: [{ path: root, version: 2, controllers: [] }],
    onDemand: [],
    missing: [],
  };
  const cgroup = new ContainerCgroup(layout, "parent", "id");
  mkdirSync(cgroup.pathIn(root), { recursive: true });
  const list = (procs: string) => writeFileSync(join(cgroup.pathIn(root), "cgroup.procs"), procs);
  list("0\n4000001\n0\n");
  expect(await cgroup.pids()).toEqual([4_000_001]);
  list("0\n");
  expect(await cgroup.kill(0)).toBe(true);
});
