/**
 * `pnpm bench:runtime [starts]`: how long a container takes from the call to its exit, beside a plain spawn of the same
 * program without any isolation. Rounds of both alternate, so that a noisy moment hits both; compare ratios, not
 * milliseconds. A table on stdout; `--json` prints one line per figure instead. Needs root.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureBusyboxRootfs, openRuntime, type ContainerSpec, type Runtime } from "@berth/native";

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: "ms" | "ratio" | "1/s";
  /** What it is compared with, or null. */
  readonly versus: string | null;
  readonly target: number | null;
  readonly met: boolean | null;
}

const words = process.argv.slice(2);
const asJson = words.includes("--json");
const starts = Number(words.find((word) => /^\d+$/.test(word)) ?? 200);
const GAP_MS = 100;
const ROUND = 20;

const quantile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? Number.NaN;

const directory = mkdtempSync(join(tmpdir(), "berth-bench-"));
const image = join(directory, "busybox");
const cgroupParent = `berth-bench-${process.pid}`;
let serial = 0;

const spec = (): ContainerSpec => ({
  id: `b${(serial += 1)}`,
  layers: [image],
  command: ["/bin/true"],
  env: {},
  workdir: "/",
  hostname: "bench",
  mounts: [],
  idBase: 1_000_000 + (serial % 1000) * 65_536,
  limits: { cpuRequestMillis: 500, cpuLimitMillis: 1000, memoryBytes: 64 * 1024 * 1024, pids: 64 },
});

interface Timing {
  readonly calledMs: number;
  readonly startedMs: number;
  readonly exitedMs: number;
  readonly removedMs: number;
}

const timeContainer = async (runtime: Runtime): Promise<Timing> => {
  const begin = performance.now();
  const starting = runtime.start(spec());
  const calledMs = performance.now() - begin;
  const result = await starting;
  if (!result.ok) throw new Error(`${result.error.stage}: ${result.error.detail} ${result.error.code}`);
  const startedMs = performance.now() - begin;
  await result.value.exited;
  const exitedMs = performance.now() - begin;
  await result.value.remove();
  return { calledMs, startedMs, exitedMs, removedMs: performance.now() - begin };
};

const timeSpawn = async (): Promise<number> => {
  const begin = performance.now();
  await new Promise<void>((resolve, reject) => {
    const child = spawn(join(image, "bin/true"), { stdio: "ignore" });
    child.once("exit", () => resolve());
    child.once("error", reject);
  });
  return performance.now() - begin;
};

const measure = async (runtime: Runtime): Promise<Figure[]> => {
  const warm: Timing[] = [];
  const plain: number[] = [];
  const cold: Timing[] = [];
  for (let i = 0; i < 10; i += 1) await timeContainer(runtime);
  while (warm.length < starts) {
    for (let i = 0; i < ROUND; i += 1) warm.push(await timeContainer(runtime));
    for (let i = 0; i < ROUND; i += 1) plain.push(await timeSpawn());
  }
  for (let i = 0; i < Math.min(50, starts); i += 1) {
    await sleep(GAP_MS);
    cold.push(await timeContainer(runtime));
  }
  const beginMs = performance.now();
  await Promise.all(
    [1, 2].map(async () => {
      for (let i = 0; i < starts / 2; i += 1) await timeContainer(runtime);
    }),
  );
  const perSecond = starts / ((performance.now() - beginMs) / 1000);

  const exits = warm.map((timing) => timing.exitedMs);
  const spawnMs = quantile(plain, 0.5);
  const note = (name: string, value: number, unit: Figure["unit"], versus: string | null = null): Figure => ({
    name,
    value,
    unit,
    versus,
    target: null,
    met: null,
  });
  const blockedMs = quantile(
    warm.map((timing) => timing.calledMs),
    0.5,
  );
  return [
    note("start to exit, warm, median", quantile(exits, 0.5), "ms"),
    note("start to exit, warm, p95", quantile(exits, 0.95), "ms"),
    note(
      "start to running, warm, median",
      quantile(
        warm.map((timing) => timing.startedMs),
        0.5,
      ),
      "ms",
    ),
    note(
      "start to removed, warm, median",
      quantile(
        warm.map((timing) => timing.removedMs),
        0.5,
      ),
      "ms",
    ),
    note(
      "start to exit, 100 ms apart, median",
      quantile(
        cold.map((timing) => timing.exitedMs),
        0.5,
      ),
      "ms",
    ),
    note(
      "start to exit, 100 ms apart, p95",
      quantile(
        cold.map((timing) => timing.exitedMs),
        0.95,
      ),
      "ms",
    ),
    note("plain spawn to exit, median", spawnMs, "ms"),
    note("container over plain spawn", quantile(exits, 0.5) / spawnMs, "ratio", "plain spawn of the same program"),
    note("start, exit and removal, 2 at a time", perSecond, "1/s"),
    {
      name: "event loop blocked by the call, median",
      value: blockedMs,
      unit: "ms",
      versus: null,
      target: 0.3,
      met: blockedMs <= 0.3,
    },
  ];
};

try {
  await ensureBusyboxRootfs(image);
  const runtime = await openRuntime({ stateDir: join(directory, "state"), cgroupParent });
  try {
    const figures = await measure(runtime);
    for (const figure of figures) {
      if (asJson) console.log(JSON.stringify(figure));
      else {
        const target =
          figure.target === null ? "" : `  target ${figure.target}: ${figure.met === true ? "met" : "MISSED"}`;
        console.log(`${figure.name.padEnd(42)} ${figure.value.toFixed(2).padStart(9)} ${figure.unit}${target}`);
      }
    }
  } finally {
    await runtime.close();
    for (const hierarchy of runtime.features().hierarchies) rmdirSync(join(hierarchy.path, cgroupParent));
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
