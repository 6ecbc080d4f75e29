import { describe, expect, it } from "vitest";
import { afterEnd, backoffMs, type Ended } from "./restart-policy.ts";
import { makeExit, makeSpec } from "./testing/world.ts";

const ended = (
  restart: object,
  code: number,
  changes: Partial<Ended> = {},
  kind: "batch" | "service" = "batch",
): Ended => ({
  spec: makeSpec("j", { kind, restart }),
  exit: makeExit(code),
  jobStopped: false,
  allocationStopped: false,
  restarts: 0,
  streak: 0,
  ...changes,
});
const verdict = (...args: Parameters<typeof ended>): string => {
  const result = afterEnd(ended(...args));
  return result.kind === "over" ? result.status : `again${result.counts ? "" : " uncounted"} after ${result.delayMs}`;
};

describe("what follows an end", () => {
  it.each([
    ["batch, code 0", verdict({ on: "failure" }, 0), "succeeded"],
    ["batch that never restarts", verdict({ on: "never" }, 1), "failed"],
    ["batch that restarts on failure", verdict({ on: "failure" }, 1), "again after 1000"],
    ["service, code 0", verdict({}, 0, {}, "service"), "again after 1000"],
    ["service, code 1", verdict({}, 1, {}, "service"), "again after 1000"],
    ["max reached", verdict({ on: "failure", max: 2 }, 1, { restarts: 2 }), "failed"],
    ["max not reached", verdict({ on: "failure", max: 2 }, 1, { restarts: 1 }), "again after 1000"],
    ["no restart allowed", verdict({ on: "failure", max: 0 }, 1), "failed"],
    ["always, max reached, code 0", verdict({ on: "always", max: 0 }, 0), "succeeded"],
    ["fatal code", verdict({ on: "always", fatalCodes: [64] }, 64), "failed"],
    ["retry code although never", verdict({ on: "never", retryCodes: [75] }, 75), "again after 1000"],
    ["retry code, max reached", verdict({ on: "never", retryCodes: [75], max: 1 }, 75, { restarts: 1 }), "failed"],
    [
      "host rebooted",
      verdict({ on: "never" }, 137, { exit: makeExit(137, { cause: "host_rebooted" }) }),
      "again uncounted after 1000",
    ],
    ["unknown end", verdict({ on: "never" }, 0, { exit: null }), "failed"],
    ["stopped with its job", verdict({ on: "always" }, 143, { jobStopped: true }), "stopped"],
    ["done while its job stopped", verdict({ on: "failure" }, 0, { jobStopped: true }), "succeeded"],
    ["a service is never done", verdict({}, 0, { jobStopped: true }, "service"), "stopped"],
    ["moved elsewhere", verdict({ on: "never" }, 143, { allocationStopped: true }), "again uncounted after 1000"],
    ["done while being moved", verdict({ on: "never" }, 0, { allocationStopped: true }), "succeeded"],
  ])("%s → %s", (_, actual, expected) => {
    expect(actual).toBe(expected);
  });
});

it("doubles the wait up to the longest, and never waits less than a tenth of a second", () => {
  const { restart } = makeSpec("j", { restart: { backoffFirstMs: 1000, backoffLongestMs: 5000 } });
  expect([1, 2, 3, 4, 60].map((streak) => backoffMs(restart, streak))).toEqual([1000, 2000, 4000, 5000, 5000]);
  expect(backoffMs({ ...restart, backoffFirstMs: 0, backoffLongestMs: 0 }, 9)).toBe(100);
});

it("starts again with the first wait after a long run", () => {
  const long = makeExit(1, { startedAtMs: 0, finishedAtMs: 60_000 });
  const short = makeExit(1, { startedAtMs: 0, finishedAtMs: 59_999 });
  expect(verdict({ on: "failure" }, 1, { streak: 5, exit: long })).toBe("again after 1000");
  expect(verdict({ on: "failure" }, 1, { streak: 5, exit: short })).toBe("again after 32000");
});
