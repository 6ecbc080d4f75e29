/** The journal on a real disk: what it says after a kill, a flipped bit, a cut. */
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Signed } from "@berth/schema";
import { newRecord, type AllocationRecord } from "../../core/record.ts";
import { quietLog } from "../../testing/fake-agent.ts";
import { allocationId, testSpec } from "../../testing/fake-scheduler.ts";
import { layoutOf, type Layout } from "./layout.ts";
import { openJournal, sweepLeftovers } from "./journal.ts";

let layout: Layout;
beforeEach(async () => {
  layout = layoutOf(await mkdtemp(join(tmpdir(), "berth-journal-")));
});
afterEach(() => rm(layout.root, { recursive: true, force: true }));

const signed = (text: string): Signed => ({ payload: text, signature: `${"A".repeat(86)}==` });
const record = (more: Partial<AllocationRecord> = {}): AllocationRecord => ({
  ...newRecord({ id: allocationId(), project: "p", job: "j", index: 1 } as never, testSpec(["true"])),
  state: "running",
  ...more,
});

test("remembers the newest document, the fence, and every record", async () => {
  const journal = await openJournal(layout, quietLog());
  expect(await journal.loadDesired()).toEqual({ document: undefined, floor: { epoch: 0, rev: 0 }, fence: 0 });
  await journal.saveDesired(signed("one"), { epoch: 1, rev: 1 });
  await journal.saveDesired(signed("two"), { epoch: 1, rev: 2 });
  await journal.saveFence(5);
  const [a, b] = [record(), record({ slot: 7, stopCause: "timeout" })];
  for (const one of [a, b]) await journal.saveRecord(one, { durable: true });
  const again = await openJournal(layout, quietLog());
  expect(await again.loadDesired()).toEqual({ document: signed("two"), floor: { epoch: 1, rev: 2 }, fence: 5 });
  expect((await again.loadRecords()).records).toEqual(expect.arrayContaining([a, b]));
});

test("writes of one record keep their order", async () => {
  const journal = await openJournal(layout, quietLog());
  const first = record();
  await Promise.all(
    Array.from({ length: 50 }, (_, slot) => journal.saveRecord({ ...first, slot }, { durable: slot % 2 === 0 })),
  );
  expect((await journal.loadRecords()).records).toEqual([{ ...first, slot: 49 }]);
  expect((await readdir(layout.allocation(first.id))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("a document that is cut at any length, or has any bit flipped, is never believed; its version still is", async () => {
  const journal = await openJournal(layout, quietLog());
  await journal.saveDesired(signed("one"), { epoch: 1, rev: 1 });
  await journal.saveDesired(signed("two"), { epoch: 1, rev: 2 });
  const good = await readFile(layout.desired);
  const damaged: Buffer[] = [];
  for (let length = 0; length < good.length; length += 7) damaged.push(good.subarray(0, length));
  for (let at = 0; at < good.length; at += 1) {
    const flipped = Buffer.from(good);
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
    damaged.push(flipped);
  }
  for (const bytes of damaged) {
    await writeFile(layout.desired, bytes);
    const loaded = await journal.loadDesired();
    expect(loaded.document, bytes.toString()).toBeUndefined();
    // From the document before it: nothing older than that is taken.
    expect(loaded.floor).toEqual({ epoch: 1, rev: 1 });
  }
});

test("a damaged record is named, an absent one means that nothing was begun", async () => {
  const lines: string[] = [];
  const journal = await openJournal(layout, quietLog(lines));
  const [cut, garbage, foreign, good, begun] = [record(), record(), record(), record(), record()];
  for (const one of [cut, garbage, foreign, good, begun]) await journal.saveRecord(one, { durable: false });
  await truncate(layout.record(cut.id), 0);
  await writeFile(layout.record(garbage.id), "garbage");
  await writeFile(layout.record(foreign.id), await readFile(layout.record(good.id)));
  await rm(layout.record(begun.id));
  await writeFile(join(layout.allocations, "README"), "not an allocation");
  const loaded = await journal.loadRecords();
  expect(loaded.records).toEqual([good]);
  expect(loaded.unreadable.toSorted()).toEqual([cut.id, foreign.id, garbage.id].toSorted());
  expect(lines.filter((line) => line.startsWith("journal.record_damaged"))).toHaveLength(3);
});

test("what a killed agent left half done is swept away", async () => {
  const journal = await openJournal(layout, quietLog());
  const kept = record();
  await journal.saveRecord(kept, { durable: false });
  await writeFile(`${layout.record(kept.id)}.1.2.tmp`, "half");
  await writeFile(`${layout.desired}.1.2.tmp`, "half");
  const forgotten = record();
  await journal.saveRecord(forgotten, { durable: false });
  await journal.forget(forgotten.id);
  await journal.forget(forgotten.id);
  await sweepLeftovers(layout);
  expect(await readdir(layout.allocations)).toEqual([kept.id]);
  expect(await readdir(layout.allocation(kept.id))).toEqual(["record.json"]);
  expect((await readdir(layout.root)).toSorted()).toEqual(["allocations", "outputs"]);
});
