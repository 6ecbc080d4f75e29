import * as fc from "fast-check";
import { expect, it } from "vitest";
import { blindSight } from "./place-check.ts";
import { partitionBy } from "./places.ts";
import type { RuleCheck } from "./rule-check.ts";
import { ScoreKernel } from "./score-kernel.ts";
import {
  BARRED,
  bestAligned,
  bestTop,
  close,
  leafOf,
  LANES,
  REFUSED,
  scoreAt,
  setOwn,
  setScore,
  Sheet,
  topIn,
  topOf,
} from "./score-strip.ts";
import { explainFullness, explainPacking, FULLNESS_WEIGHT, inverseOf, ownSize, valuate, withEnds } from "./score.ts";
import { CANNOT, createScorer, returnsOf } from "./scorer.ts";
import { standingsFor, survey } from "./testing/survey.ts";

const score = fc.integer({ min: -1, max: 4 });
const nobody = { request: Float64Array.of(1), wishes: [], columns: false, lastsMs: null };

/** One column of values for all hosts; those of `places` domains, or none. */
const sheetOf = (count: number, places: number): Sheet => {
  const kernel = new ScoreKernel();
  kernel.reset(count, 1, 0, count);
  const ordered = Array.from({ length: count }, (_, slot) => slot);
  const place = { valueOf: Int32Array.from(ordered, (slot) => slot % places), names: [] };
  return new Sheet(kernel, partitionBy(places > 1 ? [place] : [], ordered), 1);
};

it("names the best positions as sorting all of them does, lane by lane and domain by domain", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 600 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.tuple(fc.nat(LANES), fc.nat(599), score), { maxLength: 120 }),
      (count, places, changes) => {
        const sheet = sheetOf(count, places);
        const { partition } = sheet;
        const lanes = Array.from({ length: LANES + 1 }, () => sheet.open(null, nobody, 0));
        const models = lanes.map(() => new Map<number, number>());
        for (const [which, at, value] of changes) {
          const lane = lanes[which] as (typeof lanes)[number];
          const model = models[which] as Map<number, number>;
          const slot = at % count;
          setScore(lane, slot, value);
          model.set(partition.positionOf[slot] as number, value);
          const inOrder = [...model]
            .filter(([, known]) => known >= 0)
            .sort(([left, a], [right, b]) => b - a || left - right);
          const best = inOrder[0]?.[0] ?? -1;
          expect(topOf(lane)).toBe(best);
          expect(best < 0 ? -1 : scoreAt(lane, best)).toBe(inOrder[0]?.[1] ?? -1);
          const domain = partition.domainOf[slot] as number;
          const [from, to] = [partition.begins[domain] as number, partition.begins[domain + 1] as number];
          const inside = inOrder.find(([position]) => position >= from && position < to);
          expect(topIn(lane, domain)).toBe(inside?.[0] ?? -1);
        }
      },
    ),
  );
});

it("names the best of those that end together as looking at all of them does, over groups and within domains", () => {
  const count = 100;
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.integer({ min: -1, max: 1_000 }), { minLength: count, maxLength: count }),
      fc.array(fc.constantFrom(0, 0.25, 0.5, 1), { minLength: count, maxLength: count }),
      fc.nat(1_000),
      fc.array(fc.nat(count - 1), { maxLength: 30 }),
      fc.option(fc.array(fc.constantFrom(0, 0.1, 1), { minLength: count, maxLength: count })),
      (places, scores, alignments, added, seen, wishes) => {
        const sheet = sheetOf(count, places);
        const { partition } = sheet;
        const preferred = Float64Array.from(wishes ?? []);
        const lane = sheet.open(wishes === null ? null : checkWith(2.1, preferred), nobody, 0);
        const totalOf = (slot: number, value: number): number =>
          added + withEnds(value, alignments[slot] as number, wishes === null ? 1 : 2.1, preferred[slot] ?? 0);
        // Thousandths, so that the ends may outweigh the scores.
        scores.forEach((value, slot) => setScore(lane, slot, value < 0 ? value : value * 1_000));
        const known = new Float64Array(count).fill(-1);
        for (const slot of seen) known[slot] = alignments[slot] as number;
        const of = (slot: number): number => alignments[slot] as number;
        const aligned = { name: "endsTogether", limit: Number.POSITIVE_INFINITY, known, of } as const;
        for (let domain = 0; domain < partition.domains; domain += 1) {
          const range = [partition.begins[domain] as number, partition.begins[domain + 1] as number] as const;
          let best: { slot: number; total: number } | undefined;
          for (let position = range[0]; position < range[1]; position += 1) {
            const slot = partition.slotAt[position] as number;
            if (slot < 0 || scoreAt(lane, position) < 0) continue;
            const total = totalOf(slot, scoreAt(lane, position));
            if (best === undefined || total > best.total) best = { slot, total };
          }
          const top = topIn(lane, domain);
          expect(bestAligned(lane, range, added, aligned, top)).toEqual(best);
          // Who looks at few finds none that is better, and no worse one than that of the highest score.
          const few = bestAligned(lane, range, added, { ...aligned, name: "inCompany", limit: 4 }, top);
          expect(few?.total ?? -1).toBeLessThanOrEqual(best?.total ?? -1);
          const slot = top < 0 ? -1 : (partition.slotAt[top] as number);
          const least = top < 0 ? -1 : totalOf(slot, scoreAt(lane, top));
          expect(few?.total ?? -1).toBeGreaterThanOrEqual(least);
          const all = bestAligned(lane, range, added, { ...aligned, name: "inCompany", limit: count }, top);
          expect(all?.total).toBe(best?.total);
        }
      },
    ),
    { numRuns: 60 },
  );
});

it("uses what was closed and given back again", () => {
  const sheet = sheetOf(100, 1);
  const lanes = Array.from({ length: LANES }, () => sheet.open(null, nobody, 0));
  close(lanes[3] as (typeof lanes)[number]);
  expect(sheet.open(null, nobody, 0).inside).toBe(3);
  const other = sheet.open(null, nobody, 0).strip.at;
  expect(other).not.toBe(lanes[0]?.strip.at);
  const { kernel } = sheet;
  const bytes = kernel.u8.byteLength;
  for (let at = 0; at < 1_000; at += 1) {
    const another = new Sheet(kernel, sheet.partition, 1);
    another.open(null, nobody, 0);
    another.release();
  }
  expect(kernel.u8.byteLength).toBe(bytes);
});

it("makes room for many more hosts than there were", () => {
  for (const [few, many] of [
    [2_000, 20_000],
    [3_000, 12_000],
    [10, 100_000],
  ] as const) {
    const kernel = new ScoreKernel();
    const valuation = valuate({ version: 1, requests: [{ request: Float64Array.of(1), weight: 1 }], returns: 1 }, [9]);
    for (const hosts of [few, many]) {
      kernel.reset(hosts, 5, 0, hosts);
      kernel.revalue(valuation, createScorer(valuation, 5));
      expect(kernel.seen.free).toHaveLength(hosts * 5);
      expect(kernel.seen.places).toHaveLength(hosts * 2);
    }
  }
});

/** Rules whose weights add so much, and what is preferred, by host. */
const checkWith = (total: number, preferred = new Float64Array()): RuleCheck => {
  const rules = { ...{ require: [], prefer: [], spread: [], apart: [], together: [] }, places: [] };
  const full = { ...rules, hostLimits: [], hostTogether: [], shunned: [] };
  const sight = blindSight(full);
  return {
    rules: full,
    allowed: new Uint8Array(),
    preferred,
    mostPreferred: Math.max(0, ...preferred),
    paths: new Set(),
    nowhere: [],
    total,
    places: [],
    eligible: [],
    sight,
  };
};

const SIZE = 3;
const amounts = fc.tuple(
  ...Array.from({ length: SIZE }, () => fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, fc.nat(1_000))),
);
/** Overbooked hosts are among them. */
const room = fc.oneof(
  fc.tuple(...Array.from({ length: SIZE }, () => fc.integer({ min: -50, max: 4_000 }))),
  // An idle one.
  fc.constant(Array.from({ length: SIZE }, () => 4_000)),
);

it("scores as the scorer does, to the last bit: at once, after hosts have changed, and arranged anew", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(room, fc.boolean()), { minLength: 1, maxLength: 40 }),
      fc.array(amounts, { minLength: 1, maxLength: 2 * LANES }),
      fc.array(fc.tuple(amounts, fc.integer({ min: 1, max: 100 })), { maxLength: 9 }),
      fc.array(fc.tuple(fc.nat(39), room), { maxLength: 20 }),
      fc.nat(4),
      fc.array(fc.constantFrom(1, 1.01, 1.5, 3, 7.13), { minLength: 2 * LANES, maxLength: 2 * LANES }),
      (hosts, asks, demand, changes, quarters, totals) => {
        const largest = [4_000, 4_000, 4_000];
        const requests = demand.map(([request, weight]) => ({ request: Float64Array.from(request), weight }));
        const valuation = valuate({ version: 1, requests, returns: quarters / 4 }, largest);
        const scorer = createScorer(valuation, SIZE);
        const most = Float64Array.from({ length: SIZE }, (_, at) => Math.max(...asks.map((ask) => ask[at] as number)));
        const kernel = new ScoreKernel();
        kernel.reset(hosts.length, SIZE, 0, hosts.length);
        kernel.revalue(valuation, scorer);
        kernel.setMost(most);
        const slots = hosts.map((_, slot) => slot);
        const standings = standingsFor(hosts.length, SIZE, valuation);
        const setRoom = (slot: number, free: readonly number[]): void => {
          for (const to of [standings, kernel.seen]) {
            to.free.set(free, slot * SIZE);
            to.perUnit.set(inverseOf(largest), slot * SIZE);
          }
          survey(valuation, scorer, standings, slot, SIZE);
        };
        hosts.forEach(([free, isReady], slot) => {
          setRoom(slot, free);
          kernel.setReady(slot, isReady ? 1 : 0);
        });
        kernel.run.surveyAll(hosts.length);
        const sheet = new Sheet(kernel, partitionBy([], slots), SIZE);
        const lanes = asks.map((ask, at) =>
          sheet.open(
            checkWith(totals[at] as number),
            { ...nobody, request: Float64Array.from(ask), lastsMs: at % 2 === 0 ? null : 1_000 },
            0,
          ),
        );
        const check = (): void => {
          lanes.forEach((lane, which) => {
            const own = ownSize(valuation, lane.ask.request);
            const expected = hosts.map(([, isReady], slot) => {
              if (slot === 0) return REFUSED;
              const units = isReady ? scorer.units(standings, slot, lane.ask, own) : CANNOT;
              return units < 0 ? units : Math.round(units / (totals[which] as number));
            });
            expect(slots.map((slot) => scoreAt(lane, slot))).toEqual(expected);
            for (const slot of slots) {
              if ((expected[slot] as number) < 0) continue;
              const { full, keeps } = kernel.measure(lane.strip.at, lane.inside, slot);
              const said = valuation.count === 0 ? explainFullness(full) : explainPacking(full, keeps, FULLNESS_WEIGHT);
              expect(said).toEqual(scorer.explain(standings, slot, lane.ask));
            }
            const best = Math.max(...expected);
            expect(topOf(lane)).toBe(best < 0 ? -1 : expected.indexOf(best));
          });
        };
        const fill = (how: "each" | "all"): void => {
          for (const lane of lanes) {
            setOwn(lane, ownSize(valuation, lane.ask.request), returnsOf(valuation, lane.ask.lastsMs));
            for (const slot of slots) kernel.i32[leafOf(lane, slot)] = CANNOT;
            // A rule refuses the first, whatever it has.
            kernel.i32[leafOf(lane, 0)] = REFUSED;
            if (how === "each") kernel.run.fill(lane.strip.at, lane.inside);
          }
          for (const strip of new Set(lanes.map((lane) => lane.strip.at))) {
            if (how === "all") kernel.run.fillAll(strip);
            kernel.run.build(strip);
          }
        };
        fill("each");
        check();
        const changed = new Set(changes.map(([at]) => at % hosts.length));
        for (const [at, free] of changes) setRoom(at % hosts.length, free);
        for (const slot of changed) {
          kernel.run.survey(slot);
        }
        kernel.slots.set([...changed]);
        const follow = (): void => {
          for (const strip of new Set(lanes.map((lane) => lane.strip.at))) {
            kernel.run.score(strip, kernel.slotsAt, changed.size, kernel.changedAt, kernel.beforeAt);
            kernel.run.raiseAll(strip, kernel.slotsAt, changed.size, kernel.changedAt, kernel.beforeAt);
          }
        };
        follow();
        check();
        // The largest first, and every other one apart from those.
        sheet.arrange(
          ({ ask }) => (lanes.findIndex((lane) => lane.ask === ask) % 2) * 10_000 - (ask.request[0] as number),
        );
        expect(lanes.every(({ isLive }) => !isLive)).toBe(true);
        expect(new Set(lanes.map(({ inside, strip }) => `${strip.at} ${inside}`)).size).toBe(lanes.length);
        fill("all");
        check();
        follow();
        check();
      },
    ),
  );
});

it("names the best of every domain after hosts have changed, whether what was best is still known or not", () => {
  const room = fc.nat(12);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 90 }),
      fc.integer({ min: 2, max: 4 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: LANES }),
      fc.array(fc.array(fc.tuple(fc.nat(89), room), { maxLength: 12 }), { maxLength: 6 }),
      (count, places, asks, rounds) => {
        const sheet = sheetOf(count, places);
        const { kernel, partition } = sheet;
        const rank = Int32Array.from({ length: count }, (_, slot) => slot);
        const added = Int32Array.from({ length: partition.domains }, (_, domain) => (domain % 2) * 100_000);
        const most = 12;
        const valuation = valuate({ version: 1, requests: [], returns: 1 }, [most]);
        kernel.revalue(valuation, createScorer(valuation, 1));
        kernel.setMost([most]);
        const lanes = asks.map((ask) => sheet.open(null, { ...nobody, request: Float64Array.of(ask) }, 0));
        for (let slot = 0; slot < count; slot += 1) {
          kernel.seen.free[slot] = most;
          kernel.seen.perUnit[slot] = 1 / most;
          kernel.setReady(slot, 1);
        }
        kernel.run.surveyAll(count);
        for (const { inside, strip } of lanes) kernel.run.fill(strip.at, inside);
        const strip = lanes[0]?.strip.at as number;
        kernel.run.build(strip);
        const check = (): void => {
          for (const lane of lanes) {
            for (let domain = 0; domain < partition.domains; domain += 1) {
              let [best, most] = [-1, CANNOT];
              for (
                let at = partition.begins[domain] as number;
                at < (partition.begins[domain + 1] as number);
                at += 1
              ) {
                if (scoreAt(lane, at) > most) [best, most] = [at, scoreAt(lane, at)];
              }
              expect(topIn(lane, domain)).toBe(best);
              const only = new Int32Array(partition.domains).fill(BARRED);
              only[domain] = 5;
              const found = best < 0 ? undefined : { slot: partition.slotAt[best], score: most + 5 };
              expect(bestTop(lane, only, rank)).toEqual(found);
            }
            const totals = Array.from({ length: partition.domains }, (_, domain): number => {
              const top = topIn(lane, domain);
              return top < 0 ? -1 : scoreAt(lane, top) + (added[domain] as number);
            });
            const highest = Math.max(...totals);
            const slots = totals.flatMap((total, domain) =>
              total < 0 || total < highest ? [] : [partition.slotAt[topIn(lane, domain)] as number],
            );
            const found = slots.length === 0 ? undefined : { slot: Math.min(...slots), score: highest };
            expect(bestTop(lane, added, rank)).toEqual(found);
          }
        };
        check();
        for (const changes of rounds) {
          for (const [at, free] of changes) kernel.seen.free[at % count] = free;
          const changed = [...new Set(changes.map(([at]) => at % count))];
          kernel.slots.set(changed);
          kernel.run.score(strip, kernel.slotsAt, changed.length, kernel.changedAt, kernel.beforeAt);
          kernel.run.raiseAll(strip, kernel.slotsAt, changed.length, kernel.changedAt, kernel.beforeAt);
          check();
        }
      },
    ),
  );
});
