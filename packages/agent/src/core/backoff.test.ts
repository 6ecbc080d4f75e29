import { expect, test } from "vitest";
import { backoffMs } from "./backoff.ts";

test("waits double up to the longest and are spread over their second half", () => {
  const backoff = { firstMs: 100, longestMs: 1000 };
  expect([1, 2, 3, 4, 5, 99].map((attempt) => backoffMs(backoff, attempt, 0.999999))).toEqual([
    100, 200, 400, 800, 1000, 1000,
  ]);
  expect(backoffMs(backoff, 3, 0)).toBe(200);
});
