import { expect, test } from "vitest";
import { sharedCounts } from "./owners.ts";

test.each([
  ["the host's own namespace", "         0          0 4294967295\n", true],
  ["one that has these ids and few others", "0 0 65536\n4294901760 4294901760 65520\n", true],
  ["the same in two pieces", "4294901760 100000 1000\n4294902760 200000 64520\n", true],
  ["one that lacks the last of them", "4294901760 100000 65519\n", false],
  ["that of another container", "         0     100000      65536\n", false],
  ["one without ids", "", false],
])("%s", (_name, map, alone) => {
  expect(sharedCounts(map) === undefined).toBe(alone);
});
