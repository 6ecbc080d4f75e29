import fc from "fast-check";
import { expect, test } from "vitest";
import type { JobSpec } from "./job.ts";
import { LEADER_TERM_MS, LEASE_LEAST_MS, leastSingletonAfterMs, leaseTermsOf } from "./lease.ts";

const spec = (afterMs: number | null, stopTimeoutMs: number): JobSpec =>
  ({ disconnect: { afterMs, action: "replace", singleton: true }, stopTimeoutMs }) as unknown as JobSpec;
const DAY = 86_400_000;

test("whatever a job asks for, it is killed on a slow clock before a fast one lets it run elsewhere", () => {
  fc.assert(
    fc.property(
      fc.option(fc.integer({ min: 0, max: 366 * DAY })),
      fc.integer({ min: 0, max: 30 * DAY }),
      fc.double({ min: -0.0005, max: 0.0005, noNaN: true }),
      (afterMs, stopTimeoutMs, drift) => {
        const terms = leaseTermsOf(spec(afterMs, stopTimeoutMs));
        if (terms === null) throw new Error("a singleton has a lease");
        // Measured by the leader: the host's clock is slow, and so its lease lasts longer.
        const gone = terms.leaseMs * (1 + Math.abs(drift)) + terms.graceMs + LEADER_TERM_MS;
        expect(gone).toBeLessThan(terms.replaceAfterMs);
        expect(terms.leaseMs).toBeGreaterThanOrEqual(LEASE_LEAST_MS - 1);
        expect(terms.graceMs).toBe(stopTimeoutMs);
        if (afterMs !== null && afterMs >= leastSingletonAfterMs(stopTimeoutMs))
          expect(terms.replaceAfterMs).toBe(afterMs);
      },
    ),
  );
});

test("what is no singleton has no lease", () => {
  expect(leaseTermsOf({ stopTimeoutMs: 1 } as JobSpec)).toBeNull();
});
