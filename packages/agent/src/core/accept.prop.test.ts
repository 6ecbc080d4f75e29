import fc from "fast-check";
import { expect, test } from "vitest";
import type { DesiredDocument, HostId } from "@berth/schema";
import { acceptDesired, compareVersions, type Version } from "./accept.ts";

const host = "h1" as HostId;
const document = (version: Version): DesiredDocument => ({ version: 1, host, ...version, specs: {}, allocations: [] });

test("in whatever order documents arrive, the version never goes back and the newest wins", () => {
  const version = fc.record({ epoch: fc.nat(4), rev: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(version, { minLength: 1 }), (offers) => {
      let have: Version = { epoch: 0, rev: 0 };
      for (const offer of offers) {
        const before = have;
        const accepted = acceptDesired(host, have, have.epoch, document(offer));
        if (accepted.ok) have = { epoch: accepted.value.epoch, rev: accepted.value.rev };
        expect(compareVersions(have, before)).toBeGreaterThanOrEqual(0);
      }
      const newest = offers.reduce((a, b) => (compareVersions(a, b) >= 0 ? a : b));
      expect(compareVersions(have, newest)).toBeGreaterThanOrEqual(0);
    }),
  );
});
