import type { HostId } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { firstShort } from "./feasibility.ts";
import { createHostIndex } from "./host-index.ts";
import { explainFit, NO_VALUATION, valuate } from "./score.ts";

const vector = (max: number) =>
  fc.tuple(fc.nat(max), fc.nat(max), fc.nat(max)).map((amounts) => Float64Array.from(amounts));

const operation = fc.oneof(
  fc.record({ kind: fc.constant("host" as const), host: fc.nat(6), all: vector(8), ready: fc.boolean() }),
  fc.record({ kind: fc.constant("book" as const), host: fc.nat(6), request: vector(3) }),
  fc.record({ kind: fc.constant("free" as const), host: fc.nat(6) }),
  fc.record({ kind: fc.constant("mix" as const), request: vector(3) }),
);

/** The model keeps every host by itself and scans all of them. */
interface Model {
  all: Float64Array;
  ready: boolean;
  booked: Float64Array[];
}

const freeOf = (host: Model): Float64Array =>
  host.all.map((amount, at) => amount - host.booked.reduce((sum, request) => sum + (request[at] ?? 0), 0));

it("chooses what a scan of all hosts chooses, and undoing leaves no trace", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 40 }),
      vector(4),
      fc.integer({ min: 1, max: 4 }),
      (list, request, limit) => {
        const index = createHostIndex();
        const model = new Map<string, Model>();
        const slot = (host: number): number => index.slotOf(`h${host}` as HostId);
        const of = (host: number): Model => {
          const known = model.get(`h${host}`) ?? { all: new Float64Array(3), ready: false, booked: [] };
          model.set(`h${host}`, known);
          return known;
        };
        const requestClass = { id: 1, key: "1", request };
        let valuation = NO_VALUATION;
        let version = 0;
        const expected = () =>
          [...model]
            .filter(([, host]) => host.ready && firstShort(freeOf(host), 0, request) < 0)
            .map(([hostId, host]) => ({ hostId, score: explainFit(valuation, host.all, freeOf(host), request).total }))
            .sort((a, b) => b.score - a.score || (a.hostId < b.hostId ? -1 : 1))
            .slice(0, limit);
        const chosen = () => index.choose(requestClass, limit).map(({ hostId, score }) => ({ hostId, score }));
        for (const step of list) {
          if (step.kind === "mix") {
            version += 1;
            const mix = { version, requests: [{ request: step.request, weight: 1 }] };
            index.setMix(mix);
            const largest = [0, 1, 2].map((at) => Math.max(0, ...[...model.values()].map(({ all }) => all[at] ?? 0)));
            valuation = valuate(mix, largest);
            continue;
          }
          const host = of(step.host);
          if (step.kind === "host") {
            host.all = step.all;
            host.ready = step.ready;
            index.setHost(slot(step.host), step.all, step.ready);
          } else if (step.kind === "book") {
            host.booked.push(step.request);
            index.book(slot(step.host), step.request, 1);
          } else {
            const last = host.booked.pop();
            if (last !== undefined) index.book(slot(step.host), last, -1);
          }
          expect(chosen()).toEqual(expected());
        }
        const taken: number[] = [];
        const mark = index.mark();
        for (let at = 0; at < 5; at += 1) {
          const best = index.choose(requestClass, 1)[0];
          if (best === undefined) break;
          index.book(best.slot, request, 1);
          taken.push(best.slot);
        }
        for (const at of taken.reverse()) index.undo(at, request);
        expect(index.mark()).toBe(mark);
        expect(chosen()).toEqual(expected());
      },
    ),
  );
});

it("tells work that waits only of growth that can help it", () => {
  const index = createHostIndex();
  const slot = index.slotOf("h1" as HostId);
  index.setHost(slot, Float64Array.of(4, 4, 4), true);
  const request = Float64Array.of(3, 3, 3);
  index.book(slot, request, 1);
  index.book(slot, Float64Array.of(1, 0, 0), 1);
  const mark = index.mark();
  expect(index.grownFor(mark, request)).toBe(false);
  index.book(slot, Float64Array.of(1, 0, 0), -1);
  expect(index.grownFor(mark, request)).toBe(false);
  index.book(slot, request, -1);
  expect(index.grownFor(mark, request)).toBe(true);
  expect(index.grownFor(index.mark(), request)).toBe(false);
});
