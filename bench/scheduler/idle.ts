/**
 * What one placement takes when there is nothing else to do, and whether work that fits nowhere slows down work that fits: an
 * empty cell of 10,000 hosts, one task at a time, first alone and then beside 100,000 tasks too large for any host.
 */
import type { Resources } from "@berth/schema";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";

const GIB = 2 ** 30;
const HOST: Resources = { cpuMillis: 64_000, memoryBytes: 256 * GIB, pids: 65_536 };
const CLASSES = 64;
const WARM_UP = 500;

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
  /** Mean time of a placement beside parked work, by processor time, over that without it. */
  readonly slowDown: number;
}

export const measureIdle = (options: IdleOptions): IdleResult => {
  const random = seededRandom(3);
  const cell = createBerthCell(Array.from({ length: options.hosts }, () => HOST));
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
  const measure = () => {
    const cpu = process.cpuUsage();
    const times = Array.from({ length: options.placements }, one).sort((a, b) => a - b);
    const { user, system } = process.cpuUsage(cpu);
    const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0;
    return { p50: at(0.5), p99: at(0.99), cpu: user + system };
  };
  for (let at = 0; at < WARM_UP; at += 1) one();
  const alone = measure();
  for (let at = 0; at < options.parkedJobs; at += 1) {
    // A class of its own for each.
    const tooLarge = { ...HOST, cpuMillis: HOST.cpuMillis + 1 + at };
    cell.submit(jobOf(`large${at}`, tooLarge, options.tasksPerParkedJob));
  }
  cell.append(cell.plan(64).records);
  const beside = measure();
  return {
    msP50: alone.p50,
    msP99: alone.p99,
    parked: options.parkedJobs * options.tasksPerParkedJob,
    besideParkedMsP50: beside.p50,
    besideParkedMsP99: beside.p99,
    slowDown: beside.cpu / alone.cpu,
  };
};
