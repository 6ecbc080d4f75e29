/**
 * Shares of a disk, as the kernel enforces them: two programs that write past the page cache as fast as they can, to a
 * disk whose scheduler is bfq. That disk is a loop device of the test's own, so it can be had on every host with bfq.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type Container, type IoLimit, type Resources, type Runtime } from "../../lib/index.ts";
import { basic, resourceTest, versionOf } from "./host.ts";
import { detach, diskWriters, loopDisk, run, type LoopDisk } from "./shared-disk.ts";

const { host, layers, read } = resourceTest();
const emulated = process.env["BERTH_VM"] !== undefined;
/** Points of two programs together; each stands for 32 blocks. */
const ENOUGH = 300;
const mountPoint = join(host.directory, "disk");

/** Undefined where this kernel has neither loop devices nor bfq. */
const weighedDisk = (): LoopDisk | undefined => {
  const found = loopDisk(join(host.directory, "disk.img"));
  if (found === undefined) return undefined;
  const queue = `/sys/block/${basename(found.path)}/queue`;
  try {
    writeFileSync(join(queue, "scheduler"), "bfq");
    /* Otherwise queues that are new are served first for some seconds, whatever their weight. */
    writeFileSync(join(queue, "iosched/low_latency"), "0");
  } catch {
    detach(found.path);
    return undefined;
  }
  return found;
};

const disk = versionOf("io") === undefined ? undefined : weighedDisk();
const device = disk?.device ?? "";

describe.runIf(disk !== undefined)("a share of a disk", () => {
  let runtime: Runtime;
  const { becomes, endAll, writer } = diskWriters(host, layers, { mountPoint, enough: ENOUGH });
  beforeAll(async () => {
    run("mkfs.ext4", "-q", "-F", disk?.path ?? "");
    mkdirSync(mountPoint);
    run("mount", disk?.path ?? "", mountPoint);
    /* What heeds weights is looked up when a runtime opens. */
    runtime = await openRuntime({ stateDir: join(host.directory, "weighing"), cgroupParent: host.cgroupParent });
  });
  afterAll(async () => {
    await runtime.close();
    run("umount", mountPoint);
    detach(disk?.path ?? "");
  });

  /** What bfq was told: of all disks, and of this one. */
  const told = (container: Container) =>
    read(container.id, "io", "blkio.bfq.weight_device", "io.bfq.weight").replaceAll(`${device} `, "disk ").split("\n");
  const set = async (container: Container, limits: Partial<Resources>) =>
    expect(await container.update({ ...basic, ...limits })).toEqual({ ok: true, unenforced: [] });
  const ofThisDisk = (weight: number): { readonly ioLimits: readonly IoLimit[] } => ({
    ioLimits: [{ device, weight }],
  });

  test("is told to bfq as it was asked for, from the start, after an update, for all disks and for one alone", async () => {
    try {
      const a = await writer(runtime, { ioWeight: 200 }, "sleep 1000");
      const b = await writer(runtime, { ioWeight: 50, ...ofThisDisk(800) }, "sleep 1000");
      expect([told(a), told(b)]).toEqual([["default 200"], ["default 50", "disk 800"]]);
      await set(a, { ioWeight: 300, ...ofThisDisk(400) });
      /* Written again: bfq forgets it when the other one is written. */
      await set(b, { ioWeight: 60, ...ofThisDisk(800) });
      expect([told(a), told(b)]).toEqual([
        ["default 300", "disk 400"],
        ["default 60", "disk 800"],
      ]);
      await set(a, {});
      expect(told(a)).toEqual(["default 100"]);
    } finally {
      await endAll();
    }
  });

  /* Under emulation the processor is what programs wait for, never the disk: nothing is shared there. */
  test.skipIf(emulated)(
    "is what the weights say, from the start, after an update, and for one disk alone",
    async () => {
      expect(runtime.features().limits.ioWeight).toBeNull();
      try {
        const a = await writer(runtime, { ioWeight: 100 });
        const b = await writer(runtime, ofThisDisk(800));
        expect([a.unenforced, b.unenforced]).toEqual([[], []]);
        await becomes(a, b);
        await set(a, { ioWeight: 800 });
        await set(b, { ioWeight: 100 });
        await becomes(b, a);
        await set(a, { ioWeight: 100, ...ofThisDisk(100) });
        await set(b, { ioWeight: 200, ...ofThisDisk(800) });
        await becomes(a, b);
      } finally {
        await endAll();
      }
    },
  );

  test("on a disk that heeds none is said, not dropped, and refused where nothing but all of it will do", async () => {
    const other = { device: "253:999", weight: 500 };
    const limits = { ...basic, ioLimits: [other] };
    const result = await runtime.start(host.spec(["true"], { limits }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    expect(result.value.unenforced).toMatchObject([{ knob: "ioLimits", reason: expect.stringContaining("253:999") }]);
    await result.value.exited;
    await result.value.remove();
    expect(await runtime.start(host.spec(["true"], { limits, strictLimits: true }))).toMatchObject({
      ok: false,
      error: { code: "EOPNOTSUPP", detail: expect.stringContaining("253:999") },
    });
  });
});

test("shares of disks are said to be nothing where no disk heeds them", async () => {
  /* This file's first runtime opened before there was such a disk; others of this host may have some. */
  const reason = host.runtime.features().limits.ioWeight;
  const { exit } = await host.run(["true"], { limits: { ...basic, ioWeight: 500 } });
  expect(exit.code).toBe(0);
  const container = await host.start(["true"], { limits: { ...basic, ioWeight: 500 } });
  expect(container.unenforced.filter(({ knob }) => knob === "ioWeight").length).toBe(reason === null ? 0 : 1);
  await container.exited;
  await container.remove();
});
