/**
 * Whole distributions as tasks, side by side on one host. The small one is busybox with its own init. Those of Debian
 * need minutes and a mirror, so they are a command of their own: `pnpm test:distros`, which also needs mmdebstrap.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "./support/index.ts";

const cluster = new Cluster();
const files = mkdtempSync("/tmp/berth-e2e-machines-");
const MINUTES = 60_000;
const withDebian = process.env["BERTH_DISTROS"] === "1";

beforeAll(async () => {
  const up = await cluster.up();
  await up.ready();
});
afterAll(async () => {
  rmSync(files, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

const service = (name: string, image: string): string => {
  const path = join(files, `${name}.json`);
  const resources = { cpu: { request: 0.1 }, memory: { request: "64Mi", limit: "256Mi" } };
  writeFileSync(path, JSON.stringify({ name, kind: "service", image, resources }));
  return path;
};

const start = async (name: string, archive: string): Promise<void> => {
  const image = `oci://local/${name}:1`;
  const imported = await cluster.cli(["image", "import", archive, image]);
  expect(imported.code, imported.stderr).toBe(0);
  const run = await cluster.cli(["run", service(name, image)]);
  expect(run.code, run.stdout + run.stderr).toBe(0);
};
const inside = async (name: string, ...command: string[]): Promise<string> => {
  const { code, stderr, stdout } = await cluster.cli(["exec", `${name}[0]`, "--", ...command]);
  return code === 0 ? stdout.trim() : `${code}: ${stderr}`;
};
/** Stopped by its own init: what that says last is in the log. */
const stopped = async (name: string, lastWords: string): Promise<void> => {
  const { code, stderr } = await cluster.cli(["stop", name]);
  expect(code, stderr).toBe(0);
  await expect
    .poll(async () => (await cluster.cli(["logs", `${name}[0]`])).stdout, { timeout: 30_000 })
    .toContain(lastWords);
};

const busybox = (): string => {
  const root = join(files, "busybox");
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
  const archive = join(files, "busybox.tar.xz");
  execFileSync("tar", ["-C", root, "--owner=0", "--group=0", "-cJf", archive, "."]);
  return archive;
};

test("a distribution boots by its own init, is entered, and is shut down by it", { timeout: MINUTES }, async () => {
  await start("tiny", busybox());
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

/** The mirror that this machine's apt is told to use. */
const debootstrap = (suite: string, include: string): string => {
  const archive = join(files, `${suite}.tar`);
  const mirror = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(\S+)/m.exec(
    ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]
      .map((path) => {
        try {
          return readFileSync(path, "utf8");
        } catch {
          return "";
        }
      })
      .join("\n"),
  )?.[1];
  expect(mirror, "no mirror in the configuration of apt").toBeDefined();
  execFileSync(
    "mmdebstrap",
    ["--variant=minbase", `--include=${include}`, suite, archive, `deb ${mirror} ${suite} main`],
    { stdio: "pipe", maxBuffer: 1 << 26 },
  );
  return archive;
};

test.runIf(withDebian)(
  "Debian 12 with systemd, Debian 13 with sysvinit and busybox run side by side",
  { timeout: 20 * MINUTES },
  async () => {
    await start("tiny-too", busybox());
    await start("twelve", debootstrap("bookworm", "systemd,systemd-sysv,dbus"));
    await start("thirteen", debootstrap("trixie", "sysvinit-core"));
    await expect
      .poll(() => inside("twelve", "systemctl", "is-active", "multi-user.target"), { timeout: MINUTES })
      .toBe("active");
    const kernels = await Promise.all(
      (["tiny-too", "twelve", "thirteen"] as const).map((name) => inside(name, "cat", "/proc/version")),
    );
    expect(new Set(kernels).size).toBe(1);
    expect(await inside("twelve", "cat", "/etc/os-release")).toContain('VERSION_ID="12"');
    expect(await inside("thirteen", "cat", "/etc/os-release")).toContain('VERSION_ID="13"');
    expect(await inside("tiny-too", "cat", "/etc/os-release")).toContain("ID=tiny");
    expect(await inside("twelve", "cat", "/proc/1/comm")).toBe("systemd");
    expect(await inside("thirteen", "cat", "/proc/1/comm")).toBe("init");
    await expect
      .poll(async () => (await cluster.cli(["logs", "thirteen[0]"])).stdout, { timeout: MINUTES })
      .toContain("Entering runlevel: 2");
    await stopped("twelve", "Halting system");
    await stopped("thirteen", "processes ended");
    await stopped("tiny-too", "init shuts down");
  },
);
