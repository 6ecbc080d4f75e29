import fc from "fast-check";
import { expect, test } from "vitest";
import { leaseTermsOf, type HostId, type JobSpec, type Lease } from "@berth/schema";
import { acceptLease, mayRunUntil, mayStart } from "./lease.ts";

const spec = {
  stopTimeoutMs: 1_000,
  disconnect: { afterMs: null, action: "replace", singleton: true },
} as unknown as JobSpec;
const nonce = "0000000000000001";
const asked = { host: "h1", session: "session-0123456789", nonce, fence: 5 };
const lease: Lease = {
  kind: "lease",
  host: "h1" as HostId,
  session: asked.session,
  epoch: 5,
  rev: 9,
  nonce,
};

test("a lease counts from before the question, and only with the document that it rests on, or a newer one", () => {
  fc.assert(
    fc.property(fc.nat(1e9), fc.nat(20), fc.nat(1e5), (askedAtMs, rev, laterMs) => {
      const grant = acceptLease(lease, asked, askedAtMs);
      if (!grant.ok) throw new Error(grant.error);
      const untilMs = mayRunUntil(spec, rev, grant.value);
      expect(untilMs).toBe(rev < 9 ? undefined : askedAtMs + (leaseTermsOf(spec)?.leaseMs ?? 0));
      if (mayStart(spec, rev, grant.value, askedAtMs + laterMs)) expect(askedAtMs + laterMs).toBeLessThan(untilMs ?? 0);
    }),
  );
});

test.each<[string, Partial<Lease>]>([
  ["another host", { host: "h2" as HostId }],
  ["another life of the agent", { session: "session-9876543210" }],
  ["another question", { nonce: "0000000000000002" }],
  ["a deposed leader", { epoch: 4 }],
])("a lease for %s counts for nothing", (_, change) => {
  expect(acceptLease({ ...lease, ...change }, asked, 0).ok).toBe(false);
});

test("what is no singleton needs none", () => {
  const free = { stopTimeoutMs: 1 } as JobSpec;
  expect([mayRunUntil(free, 1, undefined), mayStart(free, 1, undefined, 0)]).toEqual([Number.POSITIVE_INFINITY, true]);
});
