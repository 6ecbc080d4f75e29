/** Device nodes of a spec, and that nothing else can be opened: on v1 by the devices hierarchy, on v2 by a program. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, readCgroupLayout, type Container, type Device, type Runtime } from "../lib/index.ts";
import { outputOf, testHost } from "./host.ts";

const host = testHost();
const layout = readCgroupLayout();
/** A block device of this machine: what an attacker would open. */
const disk = readFileSync("/proc/partitions", "utf8")
  .split("\n")
  .slice(2)
  .map((line) => line.trim().split(/\s+/))[0];
const zero: Device = { path: "/dev/my/zero", type: "char", major: 1, minor: 5, mode: 0o604, uid: 7, gid: 8 };

const allowed = [5, 11].map((minor) => ({ type: "char", major: 1, minor }) as const);

/** By each way of control that this host has. */
const ways = [
  ...(layout.onDemand.some(({ controllers }) => controllers.includes("devices")) ? ["hierarchy" as const] : []),
  ...(layout.hierarchies.some(({ version }) => version === 2) ? ["program" as const] : []),
];

test("this host controls devices in some way", () => {
  expect(ways.length).toBeGreaterThan(0);
});

describe.each(ways)("by a %s", (way) => {
  let runtime: Runtime;
  beforeAll(async () => {
    runtime = await openRuntime({
      stateDir: join(host.directory, way),
      cgroupParent: host.cgroupParent,
      allow: { devices: allowed },
      cgroupLayout: way === "hierarchy" ? layout : { ...layout, onDemand: [] },
    });
  });
  afterAll(() => runtime.close());

  const start = async (script: string, devices: readonly Device[]): Promise<Container> => {
    const result = await runtime.start(host.spec(["sh", "-c", script], { devices }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    return result.value;
  };
  const run = async (script: string, devices: readonly Device[]): Promise<string> => {
    const container = await start(script, devices);
    await container.exited;
    const text = await outputOf(container);
    await container.remove();
    return text;
  };

  test("the default nodes work, and one that was asked for has its owner and mode", async () => {
    const text = await run(
      `head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/null && echo null
       stat -c '%u:%g %a %F' /dev/my/zero; head -c 5 /dev/my/zero | wc -c; (exec 3<>/dev/ptmx) && echo ptmx`,
      [zero],
    );
    expect(text.split("\n")).toEqual(["3", "3", "null", "7:8 604 character special file", "5", "ptmx", ""]);
  });

  test("reading may be all that is allowed", async () => {
    const kmsg: Device = { path: "/dev/only", type: "char", major: 1, minor: 11, mode: 0o666, access: "r" };
    expect(await run(`(echo x > /dev/only) 2>&1 | grep -o 'Operation not permitted'`, [kmsg])).toBe(
      "Operation not permitted\n",
    );
  });

  test.skipIf(disk === undefined)("a node of the host's disk, put there by the host, cannot be opened", async () => {
    const [major = "", minor = ""] = disk ?? [];
    const container = await start(
      `until [ -e /dev/disk ]; do sleep 0.02; done; head -c 1 /dev/disk 2>&1 | grep -o 'Operation not permitted'; head -c 3 /dev/my/zero | wc -c`,
      [zero],
    );
    const dev = `/proc/${container.pid ?? 0}/root/dev`;
    execFileSync("mknod", ["-m", "666", join(dev, "disk"), "b", major, minor]);
    await container.exited;
    expect(await outputOf(container)).toBe("Operation not permitted\n3\n");
    await container.remove();
  });

  test("an empty list leaves the default ones", async () => {
    const container = await start(
      `until [ -e /dev/odd ]; do sleep 0.02; done; head -c 1 /dev/odd 2>&1 | grep -o 'Operation not permitted'; head -c 3 /dev/zero | wc -c`,
      [],
    );
    execFileSync("mknod", ["-m", "666", `/proc/${container.pid ?? 0}/root/dev/odd`, "c", "10", "235"]);
    await container.exited;
    expect(await outputOf(container)).toBe("Operation not permitted\n3\n");
    await container.remove();
  });

  test("nothing of it is left", async () => {
    const container = await start("exec sleep 1000", [zero]);
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
    for (const { path } of [...layout.hierarchies, ...layout.onDemand])
      expect(existsSync(join(path, host.cgroupParent, container.id)), path).toBe(false);
  });

  test("a node cannot be made twice", async () => {
    const result = await runtime.start(host.spec(["true"], { devices: [zero, zero] }));
    expect(result).toMatchObject({ ok: false, error: { stage: "rootfs.dev", code: "EEXIST" } });
  });

  test("64 devices fit", async () => {
    const devices = Array.from({ length: 64 }, (_, i) => ({ ...zero, path: `/dev/many/${i}/zero`, minor: 5 }));
    expect(await run("cat /dev/many/*/zero | head -c 9 | wc -c; ls /dev/many | wc -l", devices)).toBe("9\n64\n");
  });
});

test("only what the host's policy names", async () => {
  for (const device of [zero, { ...zero, type: "block" as const }, { ...zero, minor: 1 }]) {
    const result = await host.runtime.start(host.spec(["true"], { devices: [device] }));
    expect(result).toMatchObject({ ok: false, error: { stage: "spec", code: "EINVAL" } });
    if (!result.ok) expect(result.error.detail).toMatch(/^devices: .* is not allowed by this host's policy$/);
  }
});

test("without any list nobody inside can make a node, and one in an image cannot be opened", async () => {
  const layer = join(host.directory, "node-layer");
  mkdirSync(layer);
  execFileSync("mknod", ["-m", "666", join(layer, "zero"), "c", "1", "5"]);
  const { stdout } = await host.sh(
    "mknod /tmp/z c 1 5 2>/dev/null && echo made; head -c 1 /zero 2>&1 | grep -o 'Permission denied'",
    {
      layers: [layer, host.image],
      capabilities: { add: ["mknod"] },
    },
  );
  expect(stdout).toBe("Permission denied\n");
});
