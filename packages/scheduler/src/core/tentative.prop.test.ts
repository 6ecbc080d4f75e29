/** What a plan has booked, by host, against the same sums made again from every booking. */
import type { HostId, JobName, ProjectName } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createDeviceLayout } from "./devices.ts";
import { createHostIndex } from "./host-index.ts";
import { createClassTable, type RequestClass } from "./request-class.ts";
import { Tentative } from "./tentative.ts";
import { padded, STRIDE } from "./vector.ts";

const NAMES = ["cpuMillis", "memoryBytes", "pids"];
const HOSTS = 3;
const amount = fc.integer({ min: 3, max: 7 });
const asked = fc.tuple(amount, amount, amount);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("book" as const), slot: fc.nat(HOSTS - 1), asked }) },
  fc.record({ kind: fc.constant("undo" as const), many: fc.nat(3) }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("ask" as const),
      asked,
      given: fc.array(fc.nat(2), { minLength: 9, maxLength: 9 }),
    }),
  },
);

it("says whether a host that the plan has booked could take a class otherwise, whatever was taken back meanwhile", () => {
  const classes = createClassTable(createDeviceLayout());
  const classOf = ([cpuMillis, memoryBytes, pids]: readonly [number, number, number]): RequestClass =>
    classes.retain(NAMES, {
      ...{ kind: "batch", runTimeoutMs: null, stopTimeoutMs: 0 },
      requests: { cpuMillis, memoryBytes, pids },
      project: "p" as ProjectName,
      name: "job" as JobName,
    });
  let seen = [0, 0];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const index = createHostIndex();
      index.setWidth(NAMES.length);
      for (let at = 0; at < HOSTS; at += 1) {
        const slot = index.slotOf(`h${at}` as HostId);
        index.setHost(slot, padded([8, 8, 8]), at > 0);
        index.book(slot, classOf([3, 3, 3]), 1);
      }
      const tentative = new Tentative(index);
      const booked: { readonly slot: number; readonly request: Float64Array }[] = [];
      for (const one of steps) {
        if (one.kind === "book") {
          const requestClass = classOf(one.asked);
          tentative.bookAt(one.slot, requestClass);
          booked.push({ slot: one.slot, request: requestClass.request });
        } else if (one.kind === "undo") {
          booked.length = Math.max(0, booked.length - one.many);
          tentative.undoTo(booked.length);
        } else {
          const given = new Float64Array(HOSTS * STRIDE);
          one.given.forEach((more, at) => (given[Math.floor(at / 3) * STRIDE + (at % 3)] = more));
          for (const more of [undefined, given]) {
            // Without the plan there is 5 of everything.
            const expected = booked.some(
              ({ slot }) =>
                slot > 0 && one.asked.every((want, at) => want === 0 || want <= 5 + (more?.[slot * STRIDE + at] ?? 0)),
            );
            expect(tentative.couldTake(classOf(one.asked), more)).toBe(expected);
            seen = [(seen[0] as number) + Number(expected), (seen[1] as number) + 1];
          }
        }
      }
    }),
    { numRuns: 300 },
  );
  // Both answers were given, and often.
  expect(seen[0]).toBeGreaterThan(50);
  expect((seen[1] as number) - (seen[0] as number)).toBeGreaterThan(50);
});
