/**
 * Random histories of an agent: documents, ends, outages, full disks, reboots, and kill -9 at any instant. Method: every
 * operation of the fake host takes a random number of turns and may be cut off before or after its effect. Afterwards the
 * world is left in peace until nothing moves any more, and the promises are checked against what really happened.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { isForward, isTerminal, type AllocationId } from "@berth/schema";
import { FakeAgent } from "../testing/fake-agent.ts";
import { turns } from "../testing/fake-clock.ts";
import { allocationId, testSpec } from "../testing/fake-scheduler.ts";

const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("place" as const), timeoutMs: fc.option(fc.constantFrom(50, 5000)) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("exit" as const), at: fc.nat(50), code: fc.constantFrom(0, 1) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("stop" as const), at: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), at: fc.nat(50) }) },
  { weight: 4, arbitrary: fc.constant({ kind: "announce" as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("restart" as const), reboot: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("damage" as const), at: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "damage_desired" as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("line" as const), up: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("reports" as const), fail: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("disk" as const), full: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: "new_leader" as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(10, 1000, 30_000) }) },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

const perform = async (made: FakeAgent, ids: AllocationId[], step: Command): Promise<void> => {
  const pick = (at: number): AllocationId | undefined => ids[at % Math.max(1, ids.length)];
  switch (step.kind) {
    case "place": {
      const id = allocationId();
      ids.push(id);
      made.cluster.place(id, testSpec(["x"], { runTimeoutMs: step.timeoutMs, outputs: [{ path: "/out" }] }));
      return made.cluster.announce();
    }
    case "exit":
      return made.host.exit(pick(step.at) ?? "", step.code);
    case "stop":
    case "drop": {
      const id = pick(step.at);
      if (id === undefined) return;
      if (step.kind === "stop") made.cluster.wishStop(id);
      else made.cluster.drop(id);
      return made.cluster.announce();
    }
    case "announce":
      return made.cluster.announce();
    case "restart":
      made.kill();
      if (step.reboot) made.host.reboot();
      return await made.start();
    case "damage": {
      // A record is only read at a start: damage is found by the next life.
      const id = pick(step.at);
      if (id === undefined || !made.host.records.has(id)) return;
      made.host.damaged.add(id);
      made.host.everDamaged.add(id);
      return;
    }
    case "damage_desired":
      if (made.host.desired !== undefined)
        made.host.desired = { ...made.host.desired, document: { payload: "{", signature: "ok" } };
      return;
    case "line":
      return made.cluster.setUp(step.up);
    case "reports":
      made.cluster.reportsFail = step.fail;
      return;
    case "disk":
      made.host.diskFull = step.full;
      return;
    case "new_leader":
      made.cluster.epoch += 1;
      return made.cluster.announce();
    case "wait":
      return await made.clock.advance(step.ms);
  }
};

/** mulberry32: the same numbers for the same seed. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

const describeWorld = (made: FakeAgent, ids: readonly AllocationId[]): string =>
  [
    ...ids.map(
      (id) =>
        `${id} starts=${made.host.starts.get(id) ?? 0} told=${
          made.cluster.log
            .get(id)
            ?.map((r) => r.state)
            .join(">") ?? "-"
        }`,
    ),
    ...made.lines.slice(-40),
  ].join("\n");

test("nothing is started twice, states go forward, every end is told, no id range is shared", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(command, fc.nat(12)), { minLength: 1, maxLength: 40 }),
      fc.integer(),
      async (history, seed) => {
        const made = new FakeAgent({ slots: 6, random: randomFrom(seed) });
        const ids: AllocationId[] = [];
        const wasCutOff = history.some(([step]) => step.kind === "line" && !step.up);
        const diskWasFull = history.some(([step]) => step.kind === "disk" && step.full);
        await made.start();
        for (const [step, pause] of history) {
          await perform(made, ids, step);
          await turns(pause);
        }
        // Peace: everything works, whatever still runs ends, and everybody has time.
        made.host.diskFull = false;
        made.cluster.reportsFail = false;
        made.cluster.setUp(true);
        for (let round = 0; round < 12; round += 1) {
          await made.clock.advance(35_000);
          await turns(30);
          for (const id of made.host.running()) made.host.exit(id, 0);
        }
        await made.clock.advance(35_000);
        await turns(60);

        const world = describeWorld(made, ids);
        expect(made.host.sharedRanges, world).toEqual([]);
        expect(made.host.twiceInOneBoot, world).toEqual([]);
        expect(made.host.containers.size, world).toBe(0);
        for (const id of ids) {
          // Only what ended with its machine runs again, and only if that machine may have come back cut off.
          const revivals = wasCutOff ? (made.host.rebooted.get(id) ?? 0) : 0;
          expect(made.host.starts.get(id) ?? 0, world).toBeLessThanOrEqual(1 + revivals);
          const told = made.cluster.log.get(id)?.map((report) => report.state) ?? [];
          for (const [at, state] of told.entries()) {
            const before = told[at - 1];
            if (before === undefined || made.host.everDamaged.has(id)) continue;
            // A repetition does no harm; a step back would. Who could not write something down, or has lost what he wrote,
            // tells what happened nevertheless, and his next life may repeat it: the scheduler keeps what is furthest.
            const hasMemory = !diskWasFull && !made.host.everDamaged.has(id);
            if (before !== undefined && hasMemory)
              expect(before === state || isForward(before, state), world).toBe(true);
          }
          // What never reached this host has nothing to tell; whatever ran has.
          if ((made.host.starts.get(id) ?? 0) > 0) expect(told.some(isTerminal), world).toBe(true);
          expect(made.cluster.allocations.has(id), world).toBe(false);
          const end = made.cluster.log.get(id)?.find((report) => isTerminal(report.state));
          if (end?.exit?.cause === "exited" && end.exit.code === 0)
            expect(made.host.kept.get(id), world).toEqual(["/out"]);
        }
        made.kill();
      },
    ),
    { numRuns: Number(process.env["BERTH_PROPERTY_RUNS"] ?? 120) },
  );
}, 600_000);
