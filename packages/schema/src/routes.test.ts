import fc from "fast-check";
import { expect, test } from "vitest";
import { routePath, Routes } from "./routes.ts";

test("names are filled in and encoded", () => {
  expect(routePath(Routes.taskWhy, { project: "media", job: "thumbs", index: 17 })).toBe(
    "/v1/jobs/media/thumbs/tasks/17/why",
  );
  expect(routePath(Routes.job, { project: "a/b", job: "../c" })).toBe("/v1/jobs/a%2Fb/..%2Fc");
});

test("a file's path keeps its slashes and nothing else", () => {
  expect(routePath(Routes.allocationOutput, { allocation: "alloc_1", "*": "out/a b?.txt" })).toBe(
    "/v1/allocations/alloc_1/outputs/out/a%20b%3F.txt",
  );
});

test("a name that is not given is a bug, said as one", () => {
  expect(() => routePath(Routes.job, { project: "a" })).toThrow('needs "job"');
});

test("whatever the values are, the path has the route's own number of segments", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (project, job) => {
      expect(routePath(Routes.job, { project, job }).split("/")).toHaveLength(Routes.job.split("/").length);
    }),
  );
});

test("no two routes are the same address", () => {
  expect(new Set(Object.values(Routes)).size).toBe(Object.values(Routes).length);
});
