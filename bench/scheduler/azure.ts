/**
 * Arrivals and departures of virtual machines derived from Azure's trace (tbpp-instances part D: `id start end size` on hosts of
 * one size): for how long are hosts in use, over the least that is possible? The bound at any time is the sum of sizes, rounded
 * up to whole hosts.
 */
import { gunzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AllocationId, HostId, LogRecord, Resources } from "@berth/schema";
import { createBerthCell, EXITED, jobOf } from "./berth-cell.ts";
import { jittered } from "./perturb.ts";
import { traceFiles, tracesDirectory } from "./traces.ts";

interface Machine {
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

/** Of a perturbed copy. */
const [START_SPREAD, LASTS_SPREAD, SIZE_SPREAD] = [0.002, 0.1, 0.05];

const load = (file: string): { readonly capacity: number; readonly machines: readonly Machine[] } => {
  const text = gunzipSync(readFileSync(join(tracesDirectory(), "tbpp", file))).toString("utf8");
  const [head = "", ...lines] = text.trim().split("\n");
  const capacity = Number(head.trim().split(/\s+/)[1]);
  const machines = lines.map((line) => {
    const [, start = 0, end = 0, size = 0] = line.trim().split(/\s+/).map(Number);
    const from = start === 0 ? 0 : jittered(start, START_SPREAD);
    return {
      start: from,
      end: from + jittered(end - start, LASTS_SPREAD),
      size: Math.min(capacity, jittered(size, SIZE_SPREAD)),
    };
  });
  return { capacity, machines };
};

interface Step {
  readonly at: number;
  readonly machine: number;
  readonly comes: boolean;
}

/** Ends before beginnings of the same time: the room is free then. */
const stepsOf = (machines: readonly Machine[]): Step[] =>
  machines
    .flatMap(({ start, end }, machine): Step[] => [
      { at: start, machine, comes: true },
      { at: end, machine, comes: false },
    ])
    .sort((a, b) => a.at - b.at || Number(a.comes) - Number(b.comes));

const resourcesOf = (size: number): Resources => ({ cpuMillis: size, memoryBytes: size, pids: size });

/** A trace counts minutes. */
const MINUTE_MS = 60_000;

/** Busy host-time over the bound, in percent, for one file; with ends known, every machine has a run limit. */
const overBound = (file: string, ends: "known" | "unknown"): number => {
  const { capacity, machines } = load(file);
  const steps = stepsOf(machines);
  let [load1, peak] = [0, 0];
  for (const { machine, comes } of steps) {
    load1 += (comes ? 1 : -1) * (machines[machine] as Machine).size;
    peak = Math.max(peak, load1);
  }
  // As many as it may want: what is not used costs nothing.
  const cell = createBerthCell(
    Array.from({ length: Math.ceil((peak / capacity) * 1.5) + 10 }, () => resourcesOf(capacity)),
  );
  const placed = new Map<number, { readonly id: AllocationId; readonly hostId: HostId }>();
  const onHost = new Map<HostId, number>();
  let [now, used, busy, bound] = [steps[0]?.at ?? 0, 0, 0, 0];
  for (const { at, machine, comes } of steps) {
    busy += onHost.size * (at - now);
    bound += Math.ceil(used / capacity) * (at - now);
    now = at;
    cell.setClock((1 + at) * MINUTE_MS);
    const { start, end, size } = machines[machine] as Machine;
    used += (comes ? 1 : -1) * size;
    if (comes) {
      const spec = jobOf(`vm${machine}`, resourcesOf(size), 1);
      cell.submit(ends === "known" ? { ...spec, runTimeoutMs: (end - start) * MINUTE_MS } : spec);
      const { records } = cell.plan(1);
      cell.append(records);
      for (const record of records) {
        if (record.kind !== "allocation_placed") continue;
        const { id, hostId } = record.placement;
        placed.set(machine, { id, hostId });
        onHost.set(hostId, (onHost.get(hostId) ?? 0) + 1);
      }
      continue;
    }
    const there = placed.get(machine);
    if (there === undefined) continue;
    const { id, hostId } = there;
    const report = { id, state: "exited", reason: "end", startedAtMs: 0, exit: { ...EXITED } } as const;
    const ended: LogRecord = { kind: "allocation_reported", hostId, report };
    cell.append([ended]);
    const left = (onHost.get(hostId) ?? 1) - 1;
    if (left === 0) onHost.delete(hostId);
    else onHost.set(hostId, left);
  }
  return (busy / bound - 1) * 100;
};

/** By instance. */
export const azureRows = (ends: "known" | "unknown"): Readonly<Record<string, number>> =>
  Object.fromEntries(
    traceFiles("tbpp", /^d2_.*\.txt\.gz$/).map((file) => [file.slice(0, -".txt.gz".length), overBound(file, ends)]),
  );
