import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openRecords, type ImageRecord } from "./records.ts";

const directory = mkdtempSync(join(tmpdir(), "berth-records-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const name = "registry.example/app:1";
const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`;
const recordOf = (letter: string): ImageRecord => ({
  version: 1,
  name,
  manifest: digestOf(letter),
  diffIds: [digestOf(letter)],
  defaults: { command: [], env: {}, workdir: "/", user: "", stopSignal: null },
});

/* Each life reads it from disk once: at that moment it is removed. */
test("what a reader still sees while it is removed is not there for the next one", async () => {
  for (let life = 0; life < 50; life += 1) {
    await (await openRecords(directory)).write(recordOf("a"));
    const records = await openRecords(directory);
    const reading = records.read(name);
    await records.remove(name);
    await reading;
    expect(await records.read(name), `life ${life}`).toBeUndefined();
  }
});

test("a record is what was written last, in the same life and in the next", async () => {
  const records = await openRecords(directory);
  await records.write(recordOf("a"));
  const before = records.changes();
  await records.write(recordOf("b"));
  expect(records.changes()).toBeGreaterThan(before);
  expect(await records.read(name)).toMatchObject({ manifest: digestOf("b") });
  expect(await (await openRecords(directory)).read(name)).toMatchObject({ manifest: digestOf("b") });
});
