import { expect, test } from "vitest";
import type { ExitRecord } from "./container.ts";
import { describeError, exitOf, failedExit, outputsFailedExit, succeeded } from "./exit.ts";

const record = (more: Partial<ExitRecord> = {}): ExitRecord => ({
  code: 0,
  signal: null,
  oom: false,
  cause: "exited",
  error: null,
  startedAtMs: 1,
  finishedAtMs: 2,
  ...more,
});

test("only the agent knows that it was its own doing", () => {
  expect(exitOf(record({ code: 143, signal: 15, cause: "signalled" }), "stopped")).toMatchObject({
    cause: "stopped",
    code: 143,
  });
  expect(exitOf(record({ code: 0 }), "timeout")).toMatchObject({ cause: "timeout", code: 0 });
  expect(exitOf(record({ code: 137, signal: 9, oom: true, cause: "oom" }), "stopped").cause).toBe("oom");
  expect(exitOf(record({ cause: "host_rebooted" }), "stopped").cause).toBe("host_rebooted");
  expect(exitOf(record({ code: 3 }), null).cause).toBe("exited");
});

test("a success is a zero by itself, nothing else", () => {
  expect(succeeded(exitOf(record(), null))).toBe(true);
  expect(succeeded(exitOf(record(), "stopped"))).toBe(false);
  expect(succeeded(exitOf(record({ code: 1 }), null))).toBe(false);
  expect(succeeded(outputsFailedExit(exitOf(record(), null), "more than 3 files"))).toBe(false);
});

test("numbers from outside are kept inside their ranges", () => {
  expect(exitOf(record({ code: 999, signal: 200, startedAtMs: -5.5, finishedAtMs: 7.9 }), null)).toMatchObject({
    code: 255,
    signal: 64,
    startedAtMs: 0,
    finishedAtMs: 7,
  });
});

test("a failure names the step, the thing and the kernel's word, within the limit", () => {
  expect(describeError({ stage: "exec", errno: 2, code: "ENOENT", detail: "/bin/x" })).toBe("exec: /bin/x (ENOENT)");
  expect(describeError({ stage: "volume", errno: 0, code: "", detail: "gone" })).toBe("volume: gone");
  expect(failedExit({ stage: "x", errno: 0, code: "", detail: "y".repeat(5000) }, 5).detail).toHaveLength(1024);
  expect(failedExit({ stage: "x", errno: 0, code: "", detail: "y" }, 5)).toMatchObject({
    code: 125,
    cause: "start_failed",
  });
});
