/**
 * Cell compaction on the Huawei sequences: the fewest hosts of 96 CPUs and 256 GiB that hold all requests in the order of
 * their arrival, over the bound that no packer can beat. NUMA cells and groups are left aside. The host shape is our choice.
 */
import type { Resources } from "@berth/schema";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { baselines, book, createCell, type Pick } from "./baselines.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";
import { redrawn } from "./perturb.ts";
import { readCsv, traceFiles } from "./traces.ts";

const CPUS = 96;
const GIB = 256;

interface Sequence {
  readonly name: string;
  readonly requests: readonly (readonly [cpus: number, gib: number])[];
}

const load = (): Sequence[] =>
  traceFiles("huawei_numa", /^VM_data_C\d+\.csv\.gz$/).map((file) => ({
    name: file.slice("VM_data_".length, -".csv.gz".length),
    requests: redrawn(
      readCsv("huawei_numa", file).map((row) => [Number(row["flavor_vcpus"]), Number(row["flavor_ram"])] as const),
    ),
  }));

/** By volume, and by the requests of which no two share a host. */
const lowerBound = ({ requests }: Sequence): number => {
  const sum = (at: 0 | 1): number => requests.reduce((total, request) => total + request[at], 0);
  const large = requests.filter(([cpus, gib]) => cpus > CPUS / 2 || gib > GIB / 2).length;
  return Math.max(Math.ceil(sum(0) / CPUS), Math.ceil(sum(1) / GIB), large);
};

/** The smallest number of hosts for which `holds` is true, from the bound upwards in ever larger steps, then halved. */
export const fewest = (bound: number, holds: (hosts: number) => boolean): number => {
  let low = bound - 1;
  let step = Math.max(1, Math.round(bound / 100));
  let high = bound;
  while (!holds(high)) {
    low = high;
    high += step;
    step *= 2;
  }
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
};

const holdsAll = (pick: Pick, requests: Sequence["requests"], hosts: number): boolean => {
  const cell = createCell(Array.from({ length: hosts }, () => [CPUS, GIB]));
  for (const request of requests) {
    const host = pick(cell, request);
    if (host < 0) return false;
    book(cell, host, request);
  }
  return true;
};

const resourcesOf = ([cpus, gib]: readonly [number, number], pids: number): Resources => ({
  cpuMillis: cpus * 1000,
  memoryBytes: gib * 2 ** 30,
  pids,
});

const berthHoldsAll = (requests: Sequence["requests"], hosts: number): boolean => {
  const cell = createBerthCell(Array.from({ length: hosts }, () => resourcesOf([CPUS, GIB], 1_000_000)));
  return requests.every((request, at) => {
    cell.submit(jobOf(`j${at}`, resourcesOf(request, 1), 1));
    const { records } = cell.plan(1);
    if (records.length > 0) cell.append(records);
    return records.length > 0;
  });
};

export interface PackingRow {
  readonly policy: string;
  readonly values: Readonly<Record<string, number>>;
}

/** Percent over the lower bound per sequence, and their mean. */
export const huaweiCompaction = (): PackingRow[] => {
  const sequences = load();
  const policies = { ...baselines(seededRandom(1)) };
  const row = (policy: string, holds: (sequence: Sequence, hosts: number) => boolean): PackingRow => {
    const over = sequences.map((sequence) => {
      const bound = lowerBound(sequence);
      return [sequence.name, (fewest(bound, (hosts) => holds(sequence, hosts)) / bound - 1) * 100] as const;
    });
    const mean = over.reduce((sum, [, value]) => sum + value, 0) / Math.max(1, over.length);
    return { policy, values: { ...Object.fromEntries(over), mean } };
  };
  return [
    ...Object.entries(policies).map(([name, pick]) =>
      row(name, ({ requests }, hosts) => holdsAll(pick, requests, hosts)),
    ),
    row("berth", ({ requests }, hosts) => berthHoldsAll(requests, hosts)),
  ];
};
