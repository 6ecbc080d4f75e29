import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { goneSignal } from "./routes/jobs.ts";

test("whoever leaves is gone, and so is whoever left before anybody looked", () => {
  const raw = Object.assign(new EventEmitter(), { destroyed: false });
  const signal = goneSignal(raw);
  expect(signal.aborted).toBe(false);
  raw.emit("close");
  expect(signal.aborted).toBe(true);
  expect(goneSignal(Object.assign(new EventEmitter(), { destroyed: true })).aborted).toBe(true);
});
