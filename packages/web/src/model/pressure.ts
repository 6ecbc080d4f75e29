/**
 * Pressure in words. Busy is not pressure: a packed host is meant to be busy, so each threshold is where work visibly
 * waits (shares of the last 10 s in which tasks stood still, from the kernel's pressure stall information).
 */
import type { Pressure } from "@berth/schema";

interface Line {
  readonly key: keyof Pressure;
  readonly label: string;
  readonly sentence: string;
  readonly warnAt: number;
  /** Whether it needs somebody. Waiting for a CPU is what a well-packed host of batch work does all day. */
  readonly urgent: boolean;
}

export const PRESSURE_LINES: readonly Line[] = [
  { key: "memoryFull10", label: "memory, all", sentence: "all tasks waited for memory", warnAt: 0.05, urgent: true },
  { key: "memorySome10", label: "memory, some", sentence: "some task waited for memory", warnAt: 0.1, urgent: true },
  { key: "ioFull10", label: "disk, all", sentence: "all tasks waited for the disk", warnAt: 0.2, urgent: true },
  { key: "ioSome10", label: "disk, some", sentence: "some task waited for the disk", warnAt: 0.4, urgent: true },
  { key: "cpuSome10", label: "CPU, some", sentence: "some task waited for a CPU", warnAt: 0.6, urgent: false },
];

export interface PressureWarning {
  readonly line: Line;
  readonly ratio: number;
}

/** The lines that belong on the attention list. */
export const URGENT_LINES = PRESSURE_LINES.filter((line) => line.urgent);

/** The worst of these lines that is above its threshold, or undefined when nobody waits much. */
export const pressureWarning = (
  pressure: Pressure | null,
  lines: readonly Line[] = PRESSURE_LINES,
): PressureWarning | undefined => {
  if (pressure === null) return undefined;
  let worst: PressureWarning | undefined;
  for (const line of lines) {
    const ratio = pressure[line.key];
    const beyond = ratio / line.warnAt;
    if (beyond >= 1 && beyond > (worst === undefined ? 0 : worst.ratio / worst.line.warnAt)) worst = { line, ratio };
  }
  return worst;
};

/** How bad the worst line is as a share of its threshold: what "most pressed first" sorts by. */
export const pressureRank = (pressure: Pressure | null): number =>
  pressure === null ? 0 : Math.max(...PRESSURE_LINES.map((line) => pressure[line.key] / line.warnAt));
