import { expect, it } from "vitest";
import { explainBestFit, scoreBestFit } from "./score.ts";

const all = Float64Array.of(4000, 8000, 100);

it("runs from nearly 0 for an empty host to 1 for an exactly full one", () => {
  expect(scoreBestFit(all, all, 0, Float64Array.of(0, 0, 0))).toBe(0);
  expect(scoreBestFit(all, all, 0, all)).toBe(1);
  const halves = scoreBestFit(all, all, 0, Float64Array.of(2000, 4000, 50));
  expect(halves).toBe(0.75);
});

it("prefers the fuller of two hosts", () => {
  const request = Float64Array.of(1000, 1000, 10);
  const fuller = Float64Array.of(2000, 4000, 50);
  expect(scoreBestFit(all, fuller, 0, request)).toBeGreaterThan(scoreBestFit(all, all, 0, request));
});

it("explains itself: the parts make the total", () => {
  const { total, parts } = explainBestFit(all, all, Float64Array.of(1000, 2000, 100));
  expect(parts.map(({ name }) => name)).toEqual(["cpuMillis", "memoryBytes", "pids"]);
  const sum = parts.reduce((all, { value, weight }) => all + value * weight, 0);
  expect(sum).toBeCloseTo(total, 5);
});

it("counts a dimension that a host does not have, and nobody asks for, as full", () => {
  expect(scoreBestFit(Float64Array.of(0, 0, 0), Float64Array.of(0, 0, 0), 0, Float64Array.of(0, 0, 0))).toBe(1);
});
