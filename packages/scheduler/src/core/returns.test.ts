import { expect, it } from "vitest";
import { createReturns, type Returns } from "./returns.ts";

/** So many moments, each with as many placements and ends. */
const live = (
  returns: Returns,
  moments: number,
  each: { readonly placed: number; readonly ended: number },
  from = 0,
) => {
  for (let at = 1; at <= moments; at += 1) {
    for (let one = 0; one < each.placed; one += 1) returns.placed(from + at);
    for (let one = 0; one < each.ended; one += 1) returns.ended();
  }
};

it("takes it that room comes back, until many moments say otherwise", () => {
  const returns = createReturns();
  expect(returns.level()).toBe(1);
  // However many are placed at one moment: none of them had time to end.
  live(returns, 1, { placed: 5_000, ended: 0 });
  live(returns, 10, { placed: 1, ended: 0 }, 1);
  expect(returns.level()).toBe(1);
  // Nor have they after half as many more.
  live(returns, 2_000, { placed: 1, ended: 0 }, 20);
  expect(returns.level()).toBe(1);
  live(returns, 50_000, { placed: 1, ended: 0 }, 3_000);
  expect(returns.level()).toBeLessThanOrEqual(0.25);
});

it("is soon told where all was placed piece by piece, large or small", () => {
  for (const placed of [1, 1_000]) {
    const returns = createReturns();
    live(returns, 300, { placed, ended: 0 });
    expect(returns.level(), `${placed} a moment`).toBeLessThan(0.5);
  }
});

it("learns again that as much ends as begins", () => {
  const returns = createReturns();
  live(returns, 2_000, { placed: 1, ended: 0 });
  for (let at = 0; at < 6; at += 1) returns.forget();
  live(returns, 2_000, { placed: 2, ended: 2 }, 5_000);
  expect(returns.level()).toBe(1);
});

it("goes on from its facts as it would have gone on", () => {
  const left = createReturns();
  live(left, 100, { placed: 3, ended: 1 });
  const right = createReturns(left.facts(), left.level());
  for (const one of [left, right]) live(one, 500, { placed: 1, ended: 0 }, 1_000);
  expect(right.level()).toBe(left.level());
  expect(right.facts()).toEqual(left.facts());
});
