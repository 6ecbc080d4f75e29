import { expect, test } from "vitest";
import { allocationStatus } from "./status.ts";

const running = { state: "running", exit: null, desired: "run" } as const;
const usage = { cpuMillis: 1, memoryBytes: 1, pids: 1 };

test("what runs is running, paused, or held to the limits of before, as its host says", () => {
  expect(allocationStatus(running)).toMatchObject({ word: "running", tone: "ok" });
  expect(allocationStatus({ ...running, usage })).toMatchObject({ word: "running" });
  expect(allocationStatus({ ...running, usage: { ...usage, paused: true } })).toMatchObject({ word: "paused" });
  const refused = { ...usage, limitsRefused: "memory.max: EBUSY" };
  expect(allocationStatus({ ...running, usage: refused })).toMatchObject({ word: "old limits", tone: "warn" });
  expect(allocationStatus({ ...running, usage: { ...refused, paused: true } })).toMatchObject({ word: "paused" });
  expect(allocationStatus({ ...running, desired: "stop", usage: refused })).toMatchObject({ word: "stopping" });
});
