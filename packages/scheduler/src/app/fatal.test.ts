import { expect, test } from "vitest";
import { StartupProblem } from "../ports/startup-problem.ts";
import { createFatal } from "./fatal.ts";

test("a loss is believed at once by whoever starts, and else only when nothing else was seen for long", () => {
  let now = 0;
  const fatal = createFatal({ monotonicMs: () => now }, 1_000);
  const loss = new StartupProblem("the log has lost its end");
  expect(fatal.is(loss, true)).toBe(true);
  expect(fatal.is(loss, false)).toBe(false);
  now = 999;
  expect(fatal.is(loss, false)).toBe(false);
  fatal.cleared();
  now = 1_500;
  expect(fatal.is(loss, false)).toBe(false);
  now = 2_500;
  expect(fatal.is(loss, false)).toBe(true);
  expect(fatal.is(new Error("a time-out"), false)).toBe(false);
});
