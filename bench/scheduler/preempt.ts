/**
 * How fast room is taken: hosts full of less important work, and tasks that are more important than all of it. Each of them
 * needs the room of one or two others. The victims end when they are told to, so that the tasks are placed as well.
 */
import type { LogRecord, Resources } from "@berth/schema";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";

const GIB = 2 ** 30;
const HOST: Resources = { cpuMillis: 32_000, memoryBytes: 128 * GIB, pids: 65_536 };
const SHAPES = 16;
/** So many plans are made before any is measured: a leader has run for longer than that. */
const WARM_UP = 6;

export interface PreemptResult {
  /** Tasks whose room was kept, and victims stopped for it. */
  readonly kept: number;
  readonly stopped: number;
  readonly perSecond: number;
  /** Without fold. */
  readonly planPerSecond: number;
  /** With fold, by the processor's time. */
  readonly perCpuSecond: number;
}

export const measurePreempt = (hosts: number, tasks: number, perPlan: number): PreemptResult => {
  const random = seededRandom(11);
  const cell = createBerthCell(Array.from({ length: hosts }, () => HOST));
  const shapes = Array.from({ length: SHAPES }, (): Resources => {
    const cpus = 1 + random.below(4);
    return { cpuMillis: cpus * 1000, memoryBytes: cpus * 4 * GIB, pids: 64 };
  });
  const room = (hosts * HOST.cpuMillis) / SHAPES;
  shapes.forEach((shape, at) => {
    const spec = jobOf(`low${at}`, shape, Math.ceil((room / shape.cpuMillis) * 1.1));
    cell.submit({ ...spec, priority: { band: "batch", level: 40 + (at % 4) } });
  });
  for (;;) {
    const { records } = cell.plan(4096);
    if (records.length === 0) break;
    cell.append(records);
  }
  shapes.forEach((shape, at) => {
    const spec = jobOf(`high${at}`, shape, Math.ceil(tasks / SHAPES));
    cell.submit({ ...spec, priority: { band: "production", level: 50 } });
  });
  let [kept, stopped, planMs, allMs] = [0, 0, 0, 0];
  let cpu = process.cpuUsage();
  for (let plans = 0; ; plans += 1) {
    if (plans === WARM_UP) {
      [kept, stopped, planMs, allMs] = [0, 0, 0, 0];
      cpu = process.cpuUsage();
    }
    const begin = performance.now();
    const { records } = cell.plan(perPlan);
    const planned = performance.now();
    const reserved = records.filter(
      (record): record is Extract<LogRecord, { kind: "room_reserved" }> => record.kind === "room_reserved",
    );
    if (reserved.length === 0) break;
    cell.append(records);
    planMs += planned - begin;
    allMs += performance.now() - begin;
    kept += reserved.length;
    for (const { victims } of reserved) stopped += victims.length;
  }
  const { user, system } = process.cpuUsage(cpu);
  return {
    ...{ kept, stopped, perSecond: (kept / allMs) * 1000, planPerSecond: (kept / planMs) * 1000 },
    perCpuSecond: (kept / (user + system)) * 1e6,
  };
};
