import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hrefOf, parseRoute, type Route } from "./route.ts";

describe("an address", () => {
  it.each<[string, Route]>([
    ["/", { screen: "overview" }],
    ["", { screen: "overview" }],
    ["/hosts", { screen: "hosts" }],
    ["/hosts/", { screen: "hosts" }],
    ["/hosts/h-07", { screen: "host", host: "h-07" }],
    ["/jobs", { screen: "jobs" }],
    ["/jobs/media/thumbs", { screen: "job", project: "media", job: "thumbs" }],
    ["/allocations/alloc_1", { screen: "allocation", allocation: "alloc_1" }],
  ])("%s names a screen", (path, route) => expect(parseRoute(path)).toEqual(route));

  it.each(["/jobs/media", "/jobs/a/b/c", "/allocations", "/nodes", "/hosts/a/b", "/hosts/%E0%A4%A"])(
    "%s is nowhere",
    (path) => expect(parseRoute(path)).toEqual({ screen: "missing", path }),
  );

  it("of any view leads back to it", () => {
    const name = fc.string({ minLength: 1, unit: "grapheme" });
    const route: fc.Arbitrary<Route> = fc.oneof(
      fc.constantFrom<Route>({ screen: "overview" }, { screen: "hosts" }, { screen: "jobs" }),
      fc.record({ screen: fc.constant("host" as const), host: name }),
      fc.record({ screen: fc.constant("job" as const), project: name, job: name }),
      fc.record({ screen: fc.constant("allocation" as const), allocation: name }),
    );
    fc.assert(
      fc.property(route, (each) => {
        expect(parseRoute(hrefOf(each))).toEqual(each);
      }),
    );
  });
});
