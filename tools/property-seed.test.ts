import { execFileSync } from "node:child_process";
import { readConfigureGlobal } from "fast-check";
import { expect, it } from "vitest";
import { propertySeed } from "./property-seed.ts";

it("is what the environment says, as 32 bits", () => {
  expect(propertySeed("42")).toBe(42);
  expect(propertySeed("-5")).toBe(-5);
  expect(propertySeed("4294967295")).toBe(-1);
});

it("is refused when it is no number", () => {
  expect(() => propertySeed("soon")).toThrow("BERTH_PROPERTY_SEED must be a whole number, not soon");
});

it("is that of the commit otherwise: the same every time", () => {
  const commit = execFileSync("git", ["-c", "safe.directory=*", "rev-parse", "HEAD"], { encoding: "utf8" });
  expect(propertySeed("") >>> 0).toBe(Number.parseInt(commit.slice(0, 8), 16));
});

it("is where the properties of every file begin", () => {
  expect(readConfigureGlobal().seed).toBe(propertySeed());
});
