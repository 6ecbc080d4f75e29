/**
 * What one placement takes when there is nothing else to do, and whether work that fits nowhere slows down work that fits: two
 * empty cells of 10,000 hosts, one task at a time, one cell with 100,000 tasks too large for any host. They take turns, block by
 * block, so that what the process does besides (collecting garbage, compiling) falls on both alike.
 */
import type { Resources } from "@berth/schema";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";

const GIB = 2 ** 30;
const HOST: Resources = { cpuMillis: 64_000, memoryBytes: 256 * GIB, pids: 65_536 };
const CLASSES = 64;
/** Of each cell, before anything counts. */
const WARM_UP = 2_000;
/** Placements until it is the other's turn. */
const BLOCK = 50;

export interface IdleOptions {
  readonly hosts: number;
  readonly placements: number;
  readonly parkedJobs: number;
  readonly tasksPerParkedJob: number;
}

export interface IdleResult {
  readonly msP50: number;
  readonly msP99: number;
  readonly parked: number;
  readonly besideParkedMsP50: number;
  readonly besideParkedMsP99: number;
  /** Mean time of a placement beside parked work over that without it. */
  readonly slowDown: number;
}

/** A cell of its own, and one placement in it; returns how long that took. */
const createIdleCell = (hosts: number) => {
  const random = seededRandom(3);
  const cell = createBerthCell(Array.from({ length: hosts }, () => HOST));
  const requests = Array.from({ length: CLASSES }, (): Resources => {
    const cpuMillis = 250 * (1 + random.below(32));
    return { cpuMillis, memoryBytes: GIB * (1 + random.below(32)), pids: 64 };
  });
  let jobs = 0;
  const one = (): number => {
    jobs += 1;
    cell.submit(jobOf(`one${jobs}`, requests[random.below(CLASSES)] as Resources, 1));
    const begin = performance.now();
    cell.append(cell.plan(64).records);
    return performance.now() - begin;
  };
  return { cell, one, times: [] as number[] };
};
type IdleCell = ReturnType<typeof createIdleCell>;

/** Of the fastest so many: the others met the collector, or another program. */
const COUNTED = 0.98;
/** `times` ascending. */
const meanOf = ({ times }: IdleCell): number => {
  const counted = times.slice(0, Math.floor(times.length * COUNTED));
  return counted.reduce((sum, time) => sum + time, 0) / counted.length;
};

export const measureIdle = (options: IdleOptions): IdleResult => {
  const [alone, beside] = [createIdleCell(options.hosts), createIdleCell(options.hosts)];
  for (let at = 0; at < options.parkedJobs; at += 1) {
    // A class of its own for each.
    const tooLarge = { ...HOST, cpuMillis: HOST.cpuMillis + 1 + at };
    beside.cell.submit(jobOf(`large${at}`, tooLarge, options.tasksPerParkedJob));
  }
  beside.cell.append(beside.cell.plan(64).records);
  for (let at = 0; at < WARM_UP; at += 1) for (const idle of [alone, beside]) idle.one();
  for (let block = 0; block * BLOCK < options.placements; block += 1)
    for (const idle of block % 2 === 0 ? [alone, beside] : [beside, alone])
      for (let at = 0; at < BLOCK; at += 1) idle.times.push(idle.one());
  for (const { times } of [alone, beside]) times.sort((a, b) => a - b);
  const at = ({ times }: IdleCell, share: number): number => times[Math.floor(times.length * share)] ?? 0;
  return {
    msP50: at(alone, 0.5),
    msP99: at(alone, 0.99),
    parked: options.parkedJobs * options.tasksPerParkedJob,
    besideParkedMsP50: at(beside, 0.5),
    besideParkedMsP99: at(beside, 0.99),
    slowDown: meanOf(beside) / meanOf(alone),
  };
};
