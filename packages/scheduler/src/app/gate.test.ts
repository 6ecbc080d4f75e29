import { expect, test } from "vitest";
import { createGate } from "./gate.ts";

test("an opening before the wait lets the next one through, once", async () => {
  const gate = createGate();
  gate.open();
  gate.open();
  await gate.passed();
  let through = false;
  const waiting = gate.passed().then(() => (through = true));
  await Promise.resolve();
  expect(through).toBe(false);
  gate.open();
  await waiting;
  expect(through).toBe(true);
});
