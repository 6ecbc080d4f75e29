/**
 * Many starts, good ones and failing ones, and afterwards everything is as after the first hundred: descriptors, watches,
 * threads, zombies, mounts, cgroups and state to the last one; the kernel's namespaces, cgroups and keys within what
 * other programs may have made meanwhile, which is far less than one per start. `pnpm soak` makes 10,000 starts.
 */
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kernelFootprint, ownFootprint, type Kernel } from "./footprint.ts";
import { slow } from "./host.ts";
import { openScratch, type Scratch } from "./scratch.ts";

const STARTS = Number(process.env["BERTH_SOAK_STARTS"] ?? (slow ? 200 : 1000));
const WARM_UP = 100;
const AT_ONCE = 4;
/** What may come and go beside us, and what per-CPU caches of the kernel hold back. */
const KERNEL_NOISE = 200;
const SETTLE_ATTEMPTS = 100;

let scratch: Scratch;
beforeAll(async () => {
  scratch = await openScratch("soak");
});
afterAll(async () => {
  await scratch.close();
});

/** Every tenth start fails: no such program. */
const starts = async (count: number): Promise<void> => {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < count; i = next++) {
      const exit = await scratch.run([i % 10 === 9 ? "no-such-program" : "true"]);
      if (i % 10 !== 9) expect(exit, `start ${i}`).toMatchObject({ code: 0 });
      else expect(exit, `start ${i}`).toBeUndefined();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
};

const own = () => ownFootprint(scratch.stateDir, scratch.cgroupParents);

/** The kernel frees namespaces and cgroups behind our back: asks until the numbers fit, and tells the last ones. */
const settled = async <T>(look: () => T, fits: (seen: T) => boolean): Promise<T> => {
  let seen = look();
  for (let i = 0; i < SETTLE_ATTEMPTS && !fits(seen); i += 1) {
    await sleep(100);
    seen = look();
  }
  return seen;
};

const most = (starts: number): number => Math.max(KERNEL_NOISE, starts / 10);
const grown = (before: Kernel, after: Kernel, starts: number): string[] =>
  Object.keys(before).filter((name) => {
    const more = (after[name] ?? 0) - (before[name] ?? 0);
    /* A KiB for each start would be a leak; the kernel's own caches move by megabytes. */
    return more > (name.endsWith("KiB") ? 32 * 1024 + starts : most(starts));
  });

const table = (rows: readonly (readonly [string, number, number])[]): string =>
  rows
    .map(([name, before, after]) => `  ${name.padEnd(36)}${String(before).padStart(10)}${String(after).padStart(10)}`)
    .join("\n");

test(`${STARTS} starts leave nothing`, { timeout: 1_800_000 }, async () => {
  await starts(WARM_UP);
  const before = await settled(own, () => readdirSync(scratch.stateDir).every((name) => !name.startsWith(".trash-")));
  const kernelBefore = kernelFootprint();
  const residentBefore = process.memoryUsage().rss;
  const began = performance.now();

  await starts(STARTS);

  const seconds = (performance.now() - began) / 1000;
  const after = await settled(own, (seen) => JSON.stringify(seen) === JSON.stringify(before));
  const kernelAfter = await settled(kernelFootprint, (seen) => grown(kernelBefore, seen, STARTS).length === 0);
  const resident = process.memoryUsage().rss;
  const rows = [
    ...Object.entries(before).map(([name, value]) => [name, value, after[name as keyof typeof after]] as const),
    ...Object.entries(kernelBefore).map(([name, value]) => [name, value, kernelAfter[name] ?? 0] as const),
    ["resident memory of this process, KiB", residentBefore >> 10, resident >> 10] as const,
  ];
  process.stdout.write(
    `after ${WARM_UP} starts, and ${STARTS} later (${(STARTS / seconds).toFixed(0)}/s):\n${table(rows)}\n`,
  );
  expect(after).toEqual(before);
  expect(grown(kernelBefore, kernelAfter, STARTS), "kernel objects that grew").toEqual([]);
  /* The engine collects when it likes: a bound, not an equality. Ten thousand starts that each kept 10 KiB break it. */
  expect(resident - residentBefore).toBeLessThan(96 * 2 ** 20);
});
