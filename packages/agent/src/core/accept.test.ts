import { expect, test } from "vitest";
import type { DesiredDocument, HostId } from "@berth/schema";
import { acceptDesired, type Version } from "./accept.ts";

const host = "h1" as HostId;
const document = (version: Version, more: Partial<DesiredDocument> = {}): DesiredDocument => ({
  version: 1,
  host,
  ...version,
  specs: {},
  allocations: [],
  ...more,
});

test("takes what is newer: a later epoch first, then a later revision", () => {
  const have = { epoch: 5, rev: 10 };
  expect(acceptDesired(host, have, 5, document({ epoch: 5, rev: 11 })).ok).toBe(true);
  expect(acceptDesired(host, have, 5, document({ epoch: 6, rev: 1 })).ok).toBe(true);
  expect(acceptDesired(host, have, 5, document({ epoch: 5, rev: 9 }))).toMatchObject({ error: { kind: "stale" } });
  expect(acceptDesired(host, have, 5, document({ epoch: 4, rev: 99 }))).toMatchObject({ error: { kind: "stale" } });
  expect(acceptDesired(host, have, 5, document(have))).toMatchObject({ error: { kind: "current" } });
});

test("refuses a leader that was seen to be deposed, even with what we have already", () => {
  const have = { epoch: 5, rev: 10 };
  expect(acceptDesired(host, have, 7, document({ epoch: 6, rev: 11 }))).toMatchObject({ error: { kind: "stale" } });
  expect(acceptDesired(host, have, 7, document(have))).toMatchObject({ error: { kind: "stale" } });
});

test("refuses what is for another host, and what contradicts itself", () => {
  const have = { epoch: 0, rev: 0 };
  expect(acceptDesired(host, have, 0, document({ epoch: 1, rev: 1 }, { host: "h2" as HostId }))).toMatchObject({
    error: { kind: "other_host" },
  });
  const twice = { id: "alloc_x" } as unknown as DesiredDocument["allocations"][number];
  expect(acceptDesired(host, have, 0, document({ epoch: 1, rev: 1 }, { allocations: [twice, twice] }))).toMatchObject({
    error: { kind: "inconsistent" },
  });
});
