import fc from "fast-check";
import { expect, test } from "vitest";
import { parseChallenges } from "./challenge.ts";

test("bearer, basic, both", () => {
  expect(
    parseChallenges('Bearer realm="https://auth.lan/token",service="registry.lan",scope="repository:a/b:pull,push"'),
  ).toEqual([
    {
      scheme: "bearer",
      parameters: { realm: "https://auth.lan/token", service: "registry.lan", scope: "repository:a/b:pull,push" },
    },
  ]);
  expect(parseChallenges('Basic realm="a \\"quoted\\" realm"')).toEqual([
    { scheme: "basic", parameters: { realm: 'a "quoted" realm' } },
  ]);
  expect(parseChallenges('Negotiate, Basic realm=x, Bearer realm="y"').map((one) => one.scheme)).toContain("bearer");
});

test("nonsense gives no challenge and no crash", () => {
  expect(parseChallenges("")).toEqual([]);
  expect(parseChallenges(`Bearer realm="${"x".repeat(9000)}"`)).toEqual([]);
  fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseChallenges(text))));
});
