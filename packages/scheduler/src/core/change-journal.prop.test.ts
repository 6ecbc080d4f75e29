import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createChangeJournal } from "./change-journal.ts";

it("tells each host that has changed since a mark once, or that it does not know", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.array(fc.nat(299), { maxLength: 500 }),
      fc.nat(500),
      (hosts, changes, from) => {
        const journal = createChangeJournal(hosts);
        const marks = changes.map((slot) => {
          const mark = journal.mark();
          journal.note(slot % hosts);
          return mark;
        });
        const start = Math.min(from, changes.length);
        const mark = marks[start] ?? journal.mark();
        if (!journal.reaches(mark)) {
          expect(changes.length - start).toBeGreaterThan(Math.max(32, hosts / 4));
          return;
        }
        const into = new Int32Array(journal.longest);
        const count = journal.since(mark, into);
        const told = [...into.subarray(0, count)];
        const expected = new Set(changes.slice(start).map((slot) => slot % hosts));
        expect(told.length).toBe(expected.size);
        expect(new Set(told)).toEqual(expected);
      },
    ),
  );
});
