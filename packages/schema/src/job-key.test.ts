/** Keys of jobs are remembered: as text of their own, whatever the names were cut out of. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { jobKey, type JobName, type ProjectName } from "./ids.ts";

test("the key of a job is its project and its name", () => {
  expect([jobKey("a" as ProjectName, "b" as JobName), jobKey("a" as ProjectName, "b" as JobName)]).toEqual([
    "a/b",
    "a/b",
  ]);
});

test("names that are cut out of long addresses do not keep those", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const used = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const [addresses, bytes] = [1_000, 16_384];
  const before = used();
  for (let at = 0; at < addresses; at += 1) {
    const address = Buffer.alloc(bytes, `/v1/jobs/some-project-of-mine/some-job-of-number-${at}/why?`).toString();
    const [, , , project, job] = address.slice(0, 100).split("/");
    jobKey(project as ProjectName, job as JobName);
  }
  expect(used() - before).toBeLessThan((addresses * bytes) / 4);
});
