import { describe, expect, it } from "vitest";
import { busySnapshot } from "../../testing/cluster.ts";
import { readMessage } from "./message.ts";

const DELTA = {
  kind: "delta",
  previous: 1,
  revision: 2,
  hosts: [],
  jobs: [],
  allocations: [],
  removed: { hosts: [], jobs: [], allocations: [] },
};

describe("a frame", () => {
  it.each([
    busySnapshot(1_700_000_000_000),
    DELTA,
    { kind: "usage", hosts: {}, allocations: {} },
    { kind: "ping" },
    { kind: "later" },
  ])("that is a message is read", (message) => expect(readMessage(JSON.stringify(message))).toEqual(message));

  it.each([
    "",
    "{",
    "null",
    "[]",
    '"ping"',
    "{}",
    '{"kind":1}',
    JSON.stringify({ ...DELTA, revision: -1 }),
    JSON.stringify({ ...DELTA, previous: "1" }),
    JSON.stringify({ ...DELTA, jobs: [null] }),
    JSON.stringify({ ...DELTA, removed: undefined }),
    JSON.stringify({ kind: "snapshot", revision: 1, cluster: "c", hosts: {}, jobs: [], allocations: [] }),
    JSON.stringify({ kind: "usage", hosts: [], allocations: {} }),
  ])("that is none is refused: %s", (frame) => expect(readMessage(frame)).toBeUndefined());

  it("must be text", () => expect(readMessage(new ArrayBuffer(4))).toBeUndefined());
});
