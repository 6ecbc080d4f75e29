import { expect, test } from "vitest";
import type { HostId } from "@berth/schema";
import { createLiveness } from "./liveness.ts";

const [a, b] = ["a", "b"] as HostId[] as [HostId, HostId];
const both = [a, b].map((host) => [host, 15_000] as const);
const make = () => {
  const liveness = createLiveness({ tickMs: 1_000 });
  let now = 0;
  liveness.restart(now);
  /** Judges every second, as the loop does; returns the first second at which somebody is silent. */
  const runUntil = (
    untilMs: number,
    eachTick: (nowMs: number) => void = () => {},
  ): ReturnType<typeof liveness.judge> => {
    for (now += 1_000; now <= untilMs; now += 1_000) {
      eachTick(now);
      const silent = liveness.judge(both, now);
      if (silent.length > 0) return silent;
    }
    return [];
  };
  return { liveness, runUntil, now: () => now };
};

test("a host is silent after the bound, not before", () => {
  const { liveness, runUntil, now } = make();
  const silent = runUntil(60_000, (at) => {
    liveness.heard(a, at);
    if (at <= 5_000) liveness.heard(b, at);
  });
  expect(silent).toEqual([{ host: b, silentMs: 16_000 }]);
  expect(now()).toBe(21_000);
});

test("a host that was never heard has the whole grace period", () => {
  const { runUntil, now } = make();
  expect(runUntil(60_000)).toHaveLength(2);
  expect(now()).toBe(16_000);
});

test("a restart (election, reconnect) begins anew for everybody", () => {
  const { liveness, runUntil, now } = make();
  expect(runUntil(14_000)).toEqual([]);
  liveness.restart(14_000);
  expect(runUntil(60_000)).toHaveLength(2);
  expect(now()).toBe(30_000);
});

test("a pause of this process counts for nobody", () => {
  const { liveness, runUntil } = make();
  expect(runUntil(5_000)).toEqual([]);
  expect(liveness.judge(both, 125_000)).toEqual([]);
  expect(liveness.judge(both, 126_000)).toEqual([]);
});
