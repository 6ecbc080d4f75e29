/**
 * Shares of a disk by io.cost, as the kernel of cgroup v2 enforces them. It is told that the disk does a few hundred writes a
 * second and no more, so that the disk is what programs wait for even where the processor is an emulated one.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type Container, type IoLimit, type Resources, type Runtime } from "../../lib/index.ts";
import { layout } from "../host.ts";
import { basic, resourceTest, versionOf } from "./host.ts";
import { detach, diskWriters, loopDisk, run } from "./shared-disk.ts";

const { host, layers, read } = resourceTest();
const mountPoint = join(host.directory, "disk");
const root = layout.hierarchies.find(({ version }) => version === 2)?.path ?? "";
const WRITES_A_SECOND = 300;

/** As fast as may be in all but writes. */
const model = "rbps=1073741824 rseqiops=100000 rrandiops=100000 wbps=1073741824";
/** Undefined where weights of v2 do not exist, or this kernel has no io.cost. */
const costed = () => {
  const disk = versionOf("io") === 2 ? loopDisk(join(host.directory, "disk.img")) : undefined;
  if (disk === undefined) return undefined;
  try {
    const writes = `wseqiops=${WRITES_A_SECOND} wrandiops=${WRITES_A_SECOND}`;
    writeFileSync(join(root, "io.cost.model"), `${disk.device} ctrl=user model=linear ${model} ${writes}`);
    /* Always at the speed of the model, whatever the latencies. */
    const always = "enable=1 ctrl=user rpct=0 rlat=1000000 wpct=0 wlat=1000000 min=100 max=100";
    writeFileSync(join(root, "io.cost.qos"), `${disk.device} ${always}`);
    return disk;
  } catch {
    detach(disk.path);
    return undefined;
  }
};
const disk = costed();
const device = disk?.device ?? "";

describe.runIf(disk !== undefined)("a share of a disk by io.cost", () => {
  let runtime: Runtime;
  const { becomes, endAll, writer } = diskWriters(host, layers, { mountPoint, enough: 60 });
  beforeAll(async () => {
    run("mkfs.ext4", "-q", "-F", disk?.path ?? "");
    mkdirSync(mountPoint);
    run("mount", disk?.path ?? "", mountPoint);
    /* What heeds weights is looked up when a runtime opens. */
    runtime = await openRuntime({ stateDir: join(host.directory, "costed"), cgroupParent: host.cgroupParent });
  });
  afterAll(async () => {
    await runtime.close();
    writeFileSync(join(root, "io.cost.qos"), `${device} enable=0`);
    run("umount", mountPoint);
    detach(disk?.path ?? "");
  });
  const told = (container: Container) => read(container.id, "io", "", "io.weight").replaceAll(`${device} `, "disk ");
  const set = async (container: Container, limits: Partial<Resources>) =>
    expect(await container.update({ ...basic, ...limits })).toEqual({ ok: true, unenforced: [] });
  const ofThisDisk = (weight: number): { readonly ioLimits: readonly IoLimit[] } => ({
    ioLimits: [{ device, weight }],
  });

  test("is what the weights say, from the start, after an update, and for one disk alone", async () => {
    expect(runtime.features().limits.ioWeight).toBeNull();
    try {
      const a = await writer(runtime, { ioWeight: 100 });
      const b = await writer(runtime, ofThisDisk(800));
      expect([a.unenforced, b.unenforced]).toEqual([[], []]);
      expect([told(a), told(b)]).toEqual(["default 100", "default 100\ndisk 800"]);
      await becomes(a, b);
      await set(a, { ioWeight: 800 });
      await set(b, { ioWeight: 100 });
      await becomes(b, a);
    } finally {
      await endAll();
    }
  });
});
