/** A whole distribution as a task. This one is busybox with its own init; those of Debian are in distros.test.ts. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "./support/index.ts";
import { busyboxArchive, machinesOf } from "./support/machines.ts";

const cluster = new Cluster();
const files = mkdtempSync("/tmp/berth-e2e-machines-");
const MINUTES = 60_000;
const { importAs, inside, run, stopped } = machinesOf(cluster, files);

beforeAll(async () => {
  const up = await cluster.up();
  await up.ready();
});
afterAll(async () => {
  rmSync(files, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

test("a distribution boots by its own init, is entered, and is shut down by it", { timeout: MINUTES }, async () => {
  await importAs(busyboxArchive(join(mkdtempSync(join(files, "try-")), "busybox")), "oci://local/tiny:1");
  await run("tiny", "oci://local/tiny:1");
  /* What a plan says of an image that is here, and of one that nobody has built. */
  for (const [image, sentence] of [
    ["oci://local/tiny:1", /would be placed on \S+, which has its image$/m],
    ["distro://debian/11", /^image: no host has it, .*berth image build distro:\/\/debian\/11$/m],
  ] as const) {
    const planned = join(files, "planned.json");
    writeFileSync(planned, JSON.stringify({ name: "planned", kind: "service", image }));
    /* Its host says what it has with one of its next reports. */
    await expect.poll(async () => (await cluster.cli(["plan", planned])).stdout, { timeout: 20_000 }).toMatch(sentence);
  }
  await expect.poll(() => inside("tiny", "cat", "/etc/os-release"), { timeout: 10_000 }).toContain("ID=tiny");
  expect(await inside("tiny", "cat", "/proc/1/comm")).toBe("init");
  /* Its own cgroup tree, and mounts of its own. */
  expect(await inside("tiny", "sh", "-c", "busybox mkdir /sys/fs/cgroup/own && busybox rmdir /sys/fs/cgroup/own")).toBe(
    "",
  );
  expect(await inside("tiny", "sh", "-c", "mount -t tmpfs none /tmp && echo mounted")).toBe("mounted");
  /* Limits are the host's to write. */
  expect(await inside("tiny", "sh", "-c", "echo 1 > /sys/fs/cgroup/cgroup.max.depth")).toMatch(/denied|not permitted/i);
  /* One that the kernel lists no processes of, and that must not be in the way of its end. */
  expect(
    await inside(
      "tiny",
      "sh",
      "-c",
      "cd /sys/fs/cgroup && busybox mkdir t && echo threaded > t/cgroup.type; echo done",
    ),
  ).toContain("done");
  /* What it could mount otherwise, it does not get. */
  const path = join(files, "shared.json");
  const volumes = [{ volume: "shared", target: "/shared", readOnly: true }];
  writeFileSync(path, JSON.stringify({ name: "shared", kind: "batch", image: "oci://local/tiny:1", volumes }));
  const refused = await cluster.cli(["run", "--wait", path]);
  expect(refused.code).toBe(125);
  expect(refused.stdout + refused.stderr).toContain("/shared");
  await expect.poll(async () => (await cluster.cli(["logs", "tiny[0]"])).stdout).toContain("booted by init");
  await stopped("tiny", "init shuts down");
});
