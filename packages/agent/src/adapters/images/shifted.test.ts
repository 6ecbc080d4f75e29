import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openShifted } from "./shifted.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "berth-shifted-"))));
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ["a kernel that maps ids", true, false],
  ["one that does not", false, true],
])("%s is asked until it has answered, and then not again", async (_what, canMap, needed) => {
  const answers: (boolean | undefined)[] = [undefined, undefined, canMap];
  const shifted = await openShifted(join(folder, "shifted"), new Set(), async () => answers.shift());
  const seen: boolean[] = [];
  for (let time = 0; time < 5; time += 1) seen.push(await shifted.isNeeded(folder));
  expect(seen).toEqual([false, false, needed, needed, needed]);
  expect(answers).toEqual([]);
});
