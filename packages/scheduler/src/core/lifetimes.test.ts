import * as fc from "fast-check";
import { expect, it } from "vitest";
import { companyOf } from "./company.ts";
import { createLifetimes, type Survival } from "./lifetimes.ts";

const HOUR = 3_600_000;

/** What is known when these have ended, and nothing stands. */
const learnedFrom = (lives: readonly number[]): Survival => {
  const lifetimes = createLifetimes();
  for (let at = 0; at < 64; at += 1) lifetimes.note(lives[at % lives.length] as number, () => 0);
  return lifetimes.survival() as Survival;
};

it("knows nothing before as many have ended as are there", () => {
  const lifetimes = createLifetimes();
  for (let at = 0; at < 15; at += 1) lifetimes.note(HOUR, () => 0);
  expect(lifetimes.survival()).toBeUndefined();
  lifetimes.note(HOUR, () => 17);
  expect(lifetimes.survival()).toBeUndefined();
  for (let at = 0; at < 16; at += 1) lifetimes.note(HOUR, () => 32);
  expect(lifetimes.survival()).toBeDefined();
});

it("tells how many stay how long, and of what is older than all that ended that half of it stays as long again", () => {
  const survival = learnedFrom([HOUR, 10 * HOUR]);
  expect(survival.after(HOUR / 2)).toBeGreaterThan(0.85);
  expect(survival.after(4 * HOUR)).toBeGreaterThan(0.4);
  expect(survival.after(4 * HOUR)).toBeLessThan(0.5);
  expect(survival.after(20 * HOUR)).toBeLessThan(0.05);
  expect(survival.after(200 * HOUR) / survival.after(100 * HOUR)).toBeCloseTo(0.5, 1);
  expect(survival.meanMs / HOUR).toBeGreaterThan(4.5);
  expect(survival.meanMs / HOUR).toBeLessThan(6.5);
});

it("finds who is expected to stay in company, by how long each has been there", () => {
  const survival = learnedFrom([8 * HOUR, 9 * HOUR, 10 * HOUR]);
  const now = 1_000 * HOUR;
  const besides = (...ages: number[]): number =>
    companyOf(
      survival,
      now,
      [],
      ages.map((age) => now - age * HOUR).sort((a, b) => a - b),
    );
  expect(besides()).toBe(0);
  // All last about as long: one that came just now leaves when the newcomer does, one that is old soon.
  expect(besides(0)).toBeGreaterThan(0.75);
  expect(besides(7)).toBeLessThan(0.4);
  expect(besides(7, 0)).toBe(besides(0));
  // Work with a run limit ends then at the latest.
  expect(companyOf(survival, now, [now + 5 * HOUR], [])).toBeGreaterThan(0.4);
  expect(companyOf(survival, now, [now + 5 * HOUR], [])).toBeLessThan(0.7);
  expect(companyOf(survival, now, [now + 100 * HOUR], [])).toBe(1);
  // What lives on for long the longer it is there is the better company the older it is.
  const heavy = learnedFrom([HOUR, HOUR, HOUR, HOUR, 100 * HOUR]);
  expect(companyOf(heavy, now, [], [now - 20 * HOUR])).toBeGreaterThan(companyOf(heavy, now, [], [now - HOUR / 2]));
});

it("is a share whatever was learned, and goes on from what it told of itself", () => {
  const life = fc.oneof(fc.nat(10_000), fc.nat(10 * HOUR), fc.constantFrom(-5, 0, 2 ** 45, 2 ** 53));
  fc.assert(
    fc.property(
      fc.array(life, { minLength: 16, maxLength: 200 }),
      fc.array(life, { maxLength: 30 }),
      fc.nat(20),
      (lives, ages, forgotten) => {
        const lifetimes = createLifetimes();
        lives.forEach((ms, at) => {
          lifetimes.note(ms, () => 1);
          if (at % 21 === forgotten) lifetimes.forget();
        });
        const again = createLifetimes(JSON.parse(JSON.stringify(lifetimes.facts())));
        expect(again.facts()).toEqual(lifetimes.facts());
        const survival = lifetimes.survival();
        if (survival === undefined) return;
        const begun = ages.map((age) => -age).sort((a, b) => a - b);
        const share = companyOf(survival, 0, [], begun);
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
        expect(companyOf(again.survival() as Survival, 0, [], begun)).toBe(share);
      },
    ),
  );
});
