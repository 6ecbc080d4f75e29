import fc from "fast-check";
import { expect, test } from "vitest";
import { ALLOCATION_STATES, type AllocationId } from "@berth/schema";
import { stateDigest } from "./digest.ts";

const entry = fc.record({
  id: fc.string().map((text) => text as AllocationId),
  state: fc.constantFrom(...ALLOCATION_STATES),
});

test("the digest depends on what there is, not on its order", () => {
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      expect(stateDigest(entries.toReversed())).toBe(stateDigest(entries));
      expect(stateDigest(entries)).toMatch(/^[0-9a-f]{16}$/);
    }),
  );
  const id = "alloc_1" as AllocationId;
  expect(stateDigest([{ id, state: "running" }])).not.toBe(stateDigest([{ id, state: "exited" }]));
  expect(stateDigest([])).toBe("0000000000000000");
});
