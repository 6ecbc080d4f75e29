import { expect, it } from "vitest";
import { NO_VALUATION, valuate, type Valuation } from "./score.ts";
import { createScorer } from "./scorer.ts";
import { alone } from "./testing/survey.ts";

const all = Float64Array.of(4000, 8000, 100);
/** For a host that is given by itself. */
const explainFit = (valuation: Valuation, allocatable: Float64Array, free: Float64Array, request: Float64Array) => {
  const scorer = createScorer(valuation, request.length);
  const ask = { request, wishes: [], columns: false, lastsMs: null };
  return scorer.explain(alone(valuation, scorer, free, allocatable), 0, ask);
};
const totalOf = (valuation: Valuation, host: Float64Array, free: Float64Array, request: Float64Array): number =>
  explainFit(valuation, host, free, request).total;

it("runs from nearly 0 for an empty host to 1 for an exactly full one", () => {
  expect(totalOf(NO_VALUATION, all, all, Float64Array.of(0, 0, 0))).toBe(0);
  expect(totalOf(NO_VALUATION, all, all, all)).toBe(1);
  const halves = totalOf(NO_VALUATION, all, all, Float64Array.of(2000, 4000, 50));
  expect(halves).toBe(0.75);
});

it("prefers the fuller of two hosts", () => {
  const request = Float64Array.of(1000, 1000, 10);
  const fuller = Float64Array.of(2000, 4000, 50);
  expect(totalOf(NO_VALUATION, all, fuller, request)).toBeGreaterThan(totalOf(NO_VALUATION, all, all, request));
});

it("explains itself: the parts make the total", () => {
  const { total, parts } = explainFit(NO_VALUATION, all, all, Float64Array.of(1000, 2000, 100));
  expect(parts.map(({ name }) => name)).toEqual(["fullness"]);
  const sum = parts.reduce((all, { value, weight }) => all + value * weight, 0);
  expect(sum).toBeCloseTo(total, 5);
});

it("counts a dimension that a host does not have, and nobody asks for, as full", () => {
  const nothing = Float64Array.of(0, 0, 0);
  expect(totalOf(NO_VALUATION, nothing, nothing, nothing)).toBe(1);
});

it("keeps the room that the recent demand needs, before it packs tightly", () => {
  const hosts = Float64Array.of(8000, 8000, 800);
  const memoryHeavy = Float64Array.of(1000, 4000, 10);
  const valuation = valuate({ version: 1, requests: [{ request: memoryHeavy, weight: 1 }], returns: 0 }, hosts);
  const cpuHeavy = Float64Array.of(2000, 500, 10);
  // Less is free on the first, but only on the second does the request take the place of a memory-heavy one.
  const stranded = Float64Array.of(6000, 3500, 780);
  const exact = Float64Array.of(6000, 4000, 780);
  const total = (free: Float64Array): number => totalOf(valuation, hosts, free, cpuHeavy);
  expect(total(stranded)).toBeGreaterThan(total(exact));
  const { parts } = explainFit(valuation, hosts, exact, cpuHeavy);
  // The place that is gone has 1/8, 1/2 and 1/80 of a host (mean 0.2125), the request takes 1/4, 1/16 and 1/80 (0.1083).
  expect(parts[0]).toEqual({ name: "roomKept", value: 0.337662, weight: 0.97 });
  expect(parts.reduce((sum, { value, weight }) => sum + value * weight, 0)).toBeCloseTo(total(exact), 5);
});

it("counts a scarce place as so many", () => {
  const request = Float64Array.of(1000, 1000, 10);
  const valued = (scarcity?: number): number =>
    valuate({ version: 1, requests: [{ request, weight: 1, scarcity }], returns: 0 }, all).values[0] as number;
  expect(valued(16)).toBe(16 * valued());
});
