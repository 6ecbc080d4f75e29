/**
 * Shares of a disk, as the kernel enforces them: two programs that write past the page cache as fast as they can, to a
 * disk whose scheduler is bfq. That disk is a loop device of the test's own, so it can be had on every host with bfq.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type Container, type IoLimit, type Resources, type Runtime } from "../../lib/index.ts";
import { eventually, outputOf } from "../host.ts";
import { basic, MIB, resourceTest, versionOf } from "./host.ts";

const { host, layers, read } = resourceTest();
const emulated = process.env["BERTH_V2_VM"] !== undefined;
const run = (program: string, ...args: readonly string[]) => execFileSync(program, args, { encoding: "utf8" }).trim();

/** Each program keeps so many writes waiting; a queue that runs empty has no share. */
const WRITERS = 4;
/** Of a share of eight to one so much must arrive, on a machine that has other things to do as well. */
const MORE = 2;
/** Points of both together; each stands for 32 blocks. */
const ENOUGH = 300;
const mountPoint = join(host.directory, "disk");

const detach = (path: string) => run("losetup", "--detach", path);

/** Undefined where this kernel has neither loop devices nor bfq. */
const weighedDisk = (): { readonly path: string; readonly device: string } | undefined => {
  let path: string;
  try {
    const file = join(host.directory, "disk.img");
    writeFileSync(file, Buffer.alloc(32 * MIB));
    path = run("losetup", "--find", "--show", "--direct-io=on", file);
  } catch {
    return undefined;
  }
  const queue = `/sys/block/${basename(path)}/queue`;
  try {
    writeFileSync(join(queue, "scheduler"), "bfq");
    /* Otherwise queues that are new are served first for some seconds, whatever their weight. */
    writeFileSync(join(queue, "iosched/low_latency"), "0");
  } catch {
    detach(path);
    return undefined;
  }
  return { path, device: readFileSync(`/sys/block/${basename(path)}/dev`, "utf8").trim() };
};

const disk = versionOf("io") === undefined ? undefined : weighedDisk();
const device = disk?.device ?? "";

describe.runIf(disk !== undefined)("a share of a disk", () => {
  let runtime: Runtime;
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

  const started: Container[] = [];
  let directories = 0;
  const endAll = async (): Promise<void> => {
    for (const container of started.splice(0)) {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  };
  const pour = `${"probe pour /data/file & ".repeat(WRITERS)} wait`;
  const writer = async (limits: Partial<Resources>, script = pour): Promise<Container> => {
    const data = join(mountPoint, `${(directories += 1)}`);
    mkdirSync(data);
    writeFileSync(join(data, "file"), Buffer.alloc(2 * MIB));
    run("sync", join(data, "file"));
    expect(statSync(data).dev, "lies on the disk").toBe(statSync(mountPoint).dev);
    const result = await runtime.start(
      host.spec(["sh", "-c", script], {
        layers: layers(),
        mounts: [{ source: data, target: "/data", readOnly: false }],
        limits: { ...basic, ...limits },
      }),
    );
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    started.push(result.value);
    return result.value;
  };
  const written = async (container: Container): Promise<number> => (await outputOf(container)).length;
  /** The second writes so much more than the first, twice in a row: bfq takes its time. */
  const becomes = async (a: Container, b: Container): Promise<void> => {
    let before = [await written(a), await written(b)] as const;
    let inARow = 0;
    await eventually(async () => {
      const now = [await written(a), await written(b)] as const;
      const [one, two] = [now[0] - before[0], now[1] - before[1]];
      if (one + two < ENOUGH) return false;
      before = now;
      inARow = two > MORE * one ? inARow + 1 : 0;
      return inARow === 2;
    });
  };
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
      const a = await writer({ ioWeight: 200 }, "sleep 1000");
      const b = await writer({ ioWeight: 50, ...ofThisDisk(800) }, "sleep 1000");
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
        const a = await writer({ ioWeight: 100 });
        const b = await writer(ofThisDisk(800));
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
