/** Who is meant by the numbers in a cgroup.procs: plain directories stand for the hierarchies. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

const cgroupWith = (kind: "v1" | "v2", procs: string): ContainerCgroup => {
  const layout: CgroupLayout = {
    kind,
    hierarchies: [{ path: root, version: kind === "v1" ? 1 : 2, controllers: ["freezer"] }],
    onDemand: [],
    missing: [],
  };
  const cgroup = new ContainerCgroup(layout, "parent", "id");
  mkdirSync(cgroup.pathIn(root), { recursive: true });
  writeFileSync(join(cgroup.pathIn(root), "cgroup.procs"), procs);
  return cgroup;
};

test("one that is released while v2 lists it shows as 0, and is nobody", async () => {
  expect(await cgroupWith("v2", "0\n4000001\n0\n").pids()).toEqual([4_000_001]);
  expect(await cgroupWith("v2", "0\n").kill(0)).toBe(true);
});

test.each(["v1", "v2"] as const)("a number that has become another's is not killed on %s", async (kind) => {
  const stranger = spawn("sleep", ["1000"]);
  try {
    const cgroup = cgroupWith(kind, `${stranger.pid}\n`);
    expect(await cgroup.kill(0)).toBe(false);
    expect(await cgroup.kill(20)).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);
    const file = kind === "v1" ? "freezer.state" : "cgroup.kill";
    expect(readFileSync(join(cgroup.pathIn(root), file), "utf8")).toMatch(kind === "v1" ? /^(THAWED)+$/ : /^1+$/);
  } finally {
    stranger.kill("SIGKILL");
  }
});
