import fc from "fast-check";
import { expect, test } from "vitest";
import { createReplayGuard } from "./replay.ts";

test("no request is obeyed twice, whatever the order; in order each is obeyed once", () => {
  const request = fc.tuple(fc.nat({ max: 3 }), fc.constantFrom("a", "b"), fc.nat({ max: 3_000 }));
  fc.assert(
    fc.property(fc.array(request, { maxLength: 300 }), (requests) => {
      const guard = createReplayGuard();
      const obeyed = requests
        .filter(([epoch, issuer, seq]) => guard.admit(epoch, issuer, seq) === "new")
        .map((one) => one.join());
      expect(new Set(obeyed).size).toBe(obeyed.length);
    }),
  );
  const guard = createReplayGuard();
  for (let seq = 0; seq < 10_000; seq += 1) expect(guard.admit(1, "a", seq)).toBe("new");
  for (let seq = 0; seq < 10_000; seq += 1) expect(guard.admit(1, "a", seq)).toBe("seen");
  expect([guard.admit(0, "c", 0), guard.admit(2, "a", 0), guard.admit(1, "a", 10_001)]).toEqual([
    "seen",
    "new",
    "seen",
  ]);
});

test("a late one within the window is obeyed, and there is a bound to issuers", () => {
  const guard = createReplayGuard();
  expect([guard.admit(1, "a", 500), guard.admit(1, "a", 3), guard.admit(1, "a", 3)]).toEqual(["new", "new", "seen"]);
  const verdicts = Array.from({ length: 300 }, (_, at) => guard.admit(1, `issuer-${at}`, 0));
  expect([verdicts[0], verdicts.at(-1)]).toEqual(["new", "too_many_issuers"]);
});
