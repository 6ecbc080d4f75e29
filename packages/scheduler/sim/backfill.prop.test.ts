/**
 * Whoever passes the first that waits does not delay it (EASY): by bookkeeping of its own, which shares no code with the core,
 * the time at which there will be room for the first is never later for what was placed behind it.
 */
import type { LogRecord } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { makeSpec, resources, World } from "../src/core/testing/world.ts";

interface Running {
  readonly hostId: string;
  readonly cpuMillis: number;
  readonly endsAtMs: number;
}

const STOP_MS = 1_000;

/** When some host has so much left, if everything ends when it must at the latest. */
const roomAtMs = (sizes: ReadonlyMap<string, number>, running: readonly Running[], asked: number): number => {
  const times = [0, ...running.map(({ endsAtMs }) => endsAtMs)].sort((a, b) => a - b);
  const isRoom = (atMs: number): boolean =>
    [...sizes].some(([hostId, all]) => {
      const held = running.filter((one) => one.hostId === hostId && one.endsAtMs > atMs);
      return held.reduce((sum, { cpuMillis }) => sum + cpuMillis, 0) + asked <= all;
    });
  return times.find((atMs) => Number.isFinite(atMs) && isRoom(atMs)) ?? Number.POSITIVE_INFINITY;
};

const step = fc.oneof(
  fc.record({
    kind: fc.constant("submit" as const),
    cpu: fc.integer({ min: 1, max: 6 }),
    limitMs: fc.constantFrom(5_000, 20_000, 60_000, null),
  }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 500, max: 8_000 }) }),
  fc.record({ kind: fc.constant("end" as const), which: fc.nat(9) }),
);

it("nothing that is placed behind the first that waits delays it", () => {
  let passed = 0;
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 6 }), { minLength: 1, maxLength: 3 }),
      fc.array(step, { minLength: 4, maxLength: 40 }),
      (cpus, steps) => {
        const world = new World();
        const sizes = new Map<string, number>();
        const known = new Map<string, Running & { readonly order: number }>();
        cpus.forEach((cpu, at) => {
          world.host(`h${at}`, resources(cpu * 1_000, 65_536, 1_000));
          sizes.set(`h${at}`, cpu * 1_000);
        });
        const waiting: { readonly order: number; readonly cpuMillis: number }[] = [];
        let orders = 0;
        const noted = (records: readonly LogRecord[]): void => {
          for (const record of records) {
            if (record.kind !== "allocation_placed") throw new Error(`nobody asked for a ${record.kind}`);
            const { hostId, id, job } = record.placement;
            const order = Number(job.slice(1));
            const spec = world.job(job).spec;
            const lastsMs = spec.runTimeoutMs === null ? Number.POSITIVE_INFINITY : spec.runTimeoutMs + STOP_MS;
            known.set(id, { hostId, order, cpuMillis: spec.requests.cpuMillis, endsAtMs: world.nowMs + lastsMs });
            waiting.splice(
              waiting.findIndex((one) => one.order === order),
              1,
            );
          }
        };
        for (const one of steps) {
          if (one.kind === "submit") {
            orders += 1;
            const more = { runTimeoutMs: one.limitMs, stopTimeoutMs: STOP_MS };
            world.submit(makeSpec(`j${orders}`, { requests: resources(one.cpu * 1_000, 16, 1), ...more }));
            // What no host is large enough for nobody waits for.
            waiting.push({ order: orders, cpuMillis: one.cpu * 1_000 });
          } else if (one.kind === "pass") world.nowMs += one.ms;
          const over = [...known].filter(([, { endsAtMs }]) => endsAtMs <= world.nowMs).map(([id]) => id);
          const early = one.kind === "end" ? [...known.keys()][one.which] : undefined;
          for (const id of new Set([...over, ...(early === undefined ? [] : [early])])) {
            const name = `j${known.get(id)?.order}`;
            world.exit(name, 0, 0);
            known.delete(id);
          }
          const before = [...known.values()];
          const length = world.log.length;
          world.plan();
          noted(world.log.slice(length).flatMap(({ transaction }) => transaction.records));
          const first = waiting.find(({ cpuMillis }) => [...sizes.values()].some((all) => cpuMillis <= all));
          if (first === undefined) continue;
          const placed = [...known.values()].filter((its) => !before.includes(its));
          const ahead = placed.filter(({ order }) => order < first.order);
          const promised = roomAtMs(sizes, [...before, ...ahead], first.cpuMillis);
          if (!Number.isFinite(promised)) continue;
          if (placed.length > ahead.length) passed += 1;
          expect(roomAtMs(sizes, [...before, ...placed], first.cpuMillis)).toBeLessThanOrEqual(promised);
        }
      },
    ),
    { numRuns: 500 },
  );
  expect(passed).toBeGreaterThan(5);
}, 120_000);
