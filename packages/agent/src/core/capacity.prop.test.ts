import fc from "fast-check";
import { expect, test } from "vitest";
import { DIMENSIONS } from "@berth/schema";
import { capacityOf } from "./capacity.ts";

test("allocatable plus reserved is capacity, whatever the machine", () => {
  const amount = fc.integer({ min: 0, max: 2 ** 42 });
  const option = fc.option(amount, { nil: undefined });
  fc.assert(
    fc.property(
      fc.nat(1_000_000),
      amount,
      amount,
      fc.record({ cpuMillis: option, memoryBytes: option, pids: option }),
      (cpus, memoryBytes, pids, limits) => {
        const { allocatable, capacity, systemReserved } = capacityOf(
          { cpus, allowedCpus: undefined, memoryBytes, pids, limits },
          {},
        );
        for (const dimension of DIMENSIONS) {
          expect(allocatable[dimension] + systemReserved[dimension]).toBe(capacity[dimension]);
          expect(allocatable[dimension]).toBeGreaterThanOrEqual(Math.floor(capacity[dimension] / 2));
          expect(Number.isSafeInteger(allocatable[dimension])).toBe(true);
        }
      },
    ),
  );
});
