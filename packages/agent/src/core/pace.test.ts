import { expect, test } from "vitest";
import { Pace } from "./pace.ts";

test("what comes within the rate never waits, and a burst of a second's worth does not either", () => {
  const pace = new Pace();
  expect(pace.take(1000, 1000, 10_000)).toBe(0);
  expect(pace.take(500, 1000, 10_500)).toBe(0);
  expect(pace.take(500, 1000, 11_000)).toBe(0);
});

test("more than the rate waits, however many ask, and time that passes pays for it", () => {
  const pace = new Pace();
  pace.take(1000, 1000, 10_000);
  expect(pace.take(1000, 1000, 10_000)).toBe(1000);
  expect(pace.take(1000, 1000, 10_000)).toBe(2000);
  expect(pace.take(0, 1000, 12_000)).toBe(0);
});

test("an idle hour saves up no more than one second", () => {
  const pace = new Pace();
  pace.take(1, 1000, 0);
  expect(pace.take(5000, 1000, 3_600_000)).toBe(4000);
});
