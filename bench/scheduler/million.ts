/**
 * A million tasks on 5,000 empty hosts, planned and folded by the real core in transactions as large as the scheduler's: what
 * its one thread needs for them, without the log. Ten arrays, since one may have 100,000 tasks.
 */
import type { Resources } from "@berth/schema";
import { MAX_PLACEMENTS } from "../../packages/scheduler/src/app/evaluator.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";
import { usedBytes } from "./used-bytes.ts";

const GIB = 2 ** 30;
const HOST: Resources = { cpuMillis: 64_000, memoryBytes: 256 * GIB, pids: 65_536 };
/** 256 of these fill a host, so that the cell is four fifths full at the end. */
const TASK: Resources = { cpuMillis: 250, memoryBytes: GIB, pids: 16 };

export interface MillionResult {
  readonly placed: number;
  readonly planSeconds: number;
  readonly foldSeconds: number;
  readonly hostsUsed: number;
  readonly bytes: number;
}

export const measureMillion = (options: {
  readonly hosts: number;
  readonly jobs: number;
  readonly tasks: number;
}): MillionResult => {
  const before = usedBytes();
  const cell = createBerthCell(Array.from({ length: options.hosts }, () => HOST));
  let [placed, planMs, foldMs] = [0, 0, 0];
  const timed = <T>(work: () => T): readonly [T, number] => {
    const begin = performance.now();
    return [work(), performance.now() - begin];
  };
  for (let at = 0; at < options.jobs; at += 1) {
    foldMs += timed(() => cell.submit(jobOf(`array${at}`, TASK, options.tasks)))[1];
  }
  for (;;) {
    const [{ records }, planned] = timed(() => cell.plan(MAX_PLACEMENTS));
    planMs += planned;
    if (records.length === 0) break;
    foldMs += timed(() => cell.append(records))[1];
    placed += records.length;
  }
  let hostsUsed = 0;
  for (const host of cell.state.hosts.values()) if (host.allocations.length > 0) hostsUsed += 1;
  return { placed, planSeconds: planMs / 1000, foldSeconds: foldMs / 1000, hostsUsed, bytes: usedBytes() - before };
};
