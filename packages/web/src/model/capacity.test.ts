import { describe, expect, it } from "vitest";
import type { Resources } from "@berth/schema";
import { GIB, makeAllocation, makeHost, makeJob } from "../../testing/cluster.ts";
import { clusterFill, freeOn, fullness, largestHole, segments } from "./capacity.ts";

const reserve = (cpuMillis: number, gib: number, pids = 10): Resources => ({ cpuMillis, memoryBytes: gib * GIB, pids });

describe("capacity", () => {
  it("leaves out hosts that are lost", () => {
    const hosts = [
      makeHost("a", 4, 8, { reserved: reserve(1_000, 2) }),
      makeHost("b", 4, 8, { state: "lost", reserved: reserve(3_000, 7) }),
    ];
    expect(clusterFill(hosts, "cpuMillis")).toEqual({ allocatable: 3_500, reserved: 1_000, used: 120 });
    expect(largestHole(hosts)?.hostId).toBe("a");
  });

  it("finds the hole where both dimensions are free at once", () => {
    const hosts = [
      makeHost("cpu", 16, 32, { reserved: reserve(0, 30) }),
      makeHost("memory", 16, 32, { reserved: reserve(15_000, 0) }),
      makeHost("both", 16, 32, { reserved: reserve(8_000, 16) }),
    ];
    expect(largestHole(hosts)).toEqual({
      hostId: "both",
      free: { cpuMillis: 7_500, memoryBytes: 15 * GIB, pids: 31_734 },
    });
  });

  it("has no hole where everything is booked, or where no process may be added", () => {
    expect(largestHole([])).toBeUndefined();
    expect(largestHole([makeHost("a", 4, 8, { reserved: reserve(3_500, 0) })])).toBeUndefined();
    expect(largestHole([makeHost("a", 4, 8, { reserved: reserve(0, 0, 31_744) })])).toBeUndefined();
  });

  it("is never negative on a host that shrank", () => {
    const host = makeHost("a", 4, 8, { reserved: reserve(9_000, 9) });
    expect(freeOn(host)).toMatchObject({ cpuMillis: 0, memoryBytes: 0 });
    expect(fullness(host)).toBeGreaterThan(1);
  });
});

describe("segments of a strip", () => {
  const host = makeHost("a", 4, 8);
  const job = makeJob("j", reserve(1_000, 2));

  it("lie side by side in proportion to what they reserve", () => {
    const usage = { cpuMillis: 250, memoryBytes: GIB, pids: 3 };
    const drawn = segments(
      host,
      [makeAllocation(1, job, 0, "a", { usage }), makeAllocation(2, job, 1, "a")],
      "cpuMillis",
    );
    expect(drawn.map(({ start, length, used }) => [start, length, used])).toEqual([
      [0, 0.25, 0.25],
      [0.25, 0.25, 0],
    ]);
  });

  it("never leave the strip, whatever is booked and used", () => {
    const usage = { cpuMillis: 99_000, memoryBytes: 99 * GIB, pids: 3 };
    const drawn = segments(
      host,
      [0, 1, 2, 3, 4, 5].map((index) => makeAllocation(index, job, index, "a", { usage })),
      "cpuMillis",
    );
    for (const { start, length, used } of drawn) {
      expect(start + length).toBeLessThanOrEqual(1);
      expect(used).toBe(1);
    }
  });

  it("of an allocation that reserves nothing are empty", () => {
    const free = makeAllocation(1, makeJob("f", reserve(0, 0)), 0, "a", {
      usage: { cpuMillis: 5, memoryBytes: 5, pids: 1 },
    });
    expect(segments(host, [free], "cpuMillis")).toMatchObject([{ start: 0, length: 0, used: 0 }]);
  });
});
