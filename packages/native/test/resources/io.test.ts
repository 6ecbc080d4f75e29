/** Ceilings of a disk, as the kernel enforces them: operations past the page cache are counted by the program itself. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually, outputOf } from "../host.ts";
import { basic, MIB, resourceTest, updated, versionOf } from "./host.ts";

const { host, layers, read } = resourceTest();

/** The whole disk below the tests' directory; undefined where that is no disk (tmpfs, overlayfs). */
const diskOf = (path: string): string | undefined => {
  const { dev } = statSync(path);
  const number = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  const folder = `/sys/dev/block/${number}`;
  if (!existsSync(folder)) return undefined;
  return existsSync(join(folder, "partition")) ? readFileSync(join(folder, "../dev"), "utf8").trim() : number;
};
const disk = diskOf(host.directory);

/** So low that whoever has no ceiling does many times as much, also where the processor is emulated and others want it. */
const PER_SECOND = 4;
const BYTES_PER_SECOND = PER_SECOND * 4096;
/** In a round: three, and what may be saved up. */
const HELD = 10;
/** One of so many goes beyond twice that when nothing holds it; a machine may have no time for it in a single one. */
const ROUNDS = 10;

describe.runIf(versionOf("io") !== undefined && disk !== undefined)("a ceiling for a disk", () => {
  const device = disk ?? "";
  /** Writes for 0.7 s a round, forever; a line for each round. */
  const writer = async (ioLimits: typeof basic.ioLimits, what: "write" | "read" = "write") => {
    const data = join(host.directory, `data-${Math.random().toString(36).slice(2)}`);
    mkdirSync(data);
    writeFileSync(join(data, "file"), Buffer.alloc(2 * MIB));
    /* What is still to be written, whoever reads or writes past the page cache writes first, and is held back for it. */
    execFileSync("sync", [join(data, "file")]);
    return await host.start(["sh", "-c", `while :; do probe ${what} /data/file 700 || exit 1; done`], {
      layers: layers(),
      mounts: [{ source: data, target: "/data", readOnly: false }],
      limits: { ...basic, ...(ioLimits === undefined ? {} : { ioLimits }) },
    });
  };
  type Writer = Awaited<ReturnType<typeof writer>>;
  const rounds = async (container: Writer) => (await outputOf(container)).trim().split("\n").map(Number);
  /** Of the next whole round. */
  const nextRound = async (container: Writer): Promise<number> => {
    const seen = (await outputOf(container)) === "" ? 0 : (await rounds(container)).length;
    await eventually(async () => (await outputOf(container)) !== "" && (await rounds(container)).length >= seen + 2);
    return (await rounds(container))[seen + 1] ?? Number.NaN;
  };
  /** The best one until it is certain that nothing holds it. */
  const bestRound = async (container: Writer): Promise<number> => {
    let best = 0;
    for (let round = 0; round < ROUNDS && best <= 2 * HELD; round += 1)
      best = Math.max(best, await nextRound(container));
    return best;
  };

  test("holds operations back, from the start or from an update on, until it is taken away", async () => {
    const container = await writer(undefined);
    try {
      expect(await bestRound(container)).toBeGreaterThan(2 * HELD);
      await updated(container, { ioLimits: [{ device, writesPerSecond: PER_SECOND }] });
      expect(await nextRound(container)).toBeLessThanOrEqual(HELD);
      await updated(container, {});
      expect(await bestRound(container)).toBeGreaterThan(2 * HELD);
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
    const bound = await writer([{ device, writeBytesPerSecond: BYTES_PER_SECOND }]);
    try {
      expect(await nextRound(bound)).toBeLessThanOrEqual(HELD);
      const stats = await bound.stats();
      const counted = stats.io.find((each) => each.device === device);
      expect(counted?.writes).toBeGreaterThan(0);
      expect(counted?.writtenBytes).toBeGreaterThanOrEqual(4096);
    } finally {
      await bound.stop({ signal: 9, graceMs: 0 });
      await bound.remove();
    }
  });

  test("reads have ceilings of their own, in bytes and in operations", async () => {
    const reader = await writer([{ device, readsPerSecond: PER_SECOND }], "read");
    try {
      expect(await nextRound(reader)).toBeLessThanOrEqual(HELD);
      await updated(reader, { ioLimits: [{ device, writesPerSecond: 2, writeBytesPerSecond: 4096 }] });
      expect(await bestRound(reader), "only writes have one").toBeGreaterThan(2 * HELD);
      await updated(reader, { ioLimits: [{ device, readBytesPerSecond: BYTES_PER_SECOND }] });
      expect(await nextRound(reader)).toBeLessThanOrEqual(HELD);
    } finally {
      await reader.stop({ signal: 9, graceMs: 0 });
      await reader.remove();
    }
  });

  test("a device that is none is refused, at the start and in an update, and changes nothing", async () => {
    const ioLimits = [{ device: "4000:1", readsPerSecond: 5 }];
    const result = await host.runtime.start(host.spec(["true"], { limits: { ...basic, ioLimits } }));
    expect(result).toMatchObject({ ok: false, error: { stage: "cgroup.limit", code: "ENODEV" } });
    const container = await host.start(["sleep", "1000"]);
    expect(await container.update({ ...basic, pids: 50, ioLimits })).toMatchObject({
      ok: false,
      error: { stage: "cgroup.limit", code: "ENODEV" },
    });
    expect(read(container.id, "pids", "pids.max")).toBe("64");
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
    expect(host.cgroupsOf(container.id)).toEqual([]);
  });
});
