import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLogBuffer, type LogView } from "./log-buffer.ts";

const linesOf = (view: LogView): string[] => view.blocks.flatMap((block) => block.lines);
const make = (maxLines = 1_000, maxLineLength = 100) => createLogBuffer({ maxLines, maxLineLength });

describe("a log buffer", () => {
  it("shows an unfinished line and goes on with it", () => {
    const buffer = make();
    buffer.push("one\ntw");
    expect(linesOf(buffer.view())).toEqual(["one", "tw"]);
    buffer.push("o\n");
    expect(linesOf(buffer.view())).toEqual(["one", "two"]);
    expect(buffer.view().total).toBe(2);
  });

  it("shows lines as a terminal would, without its colours", () => {
    const buffer = make();
    buffer.push("\u001b[1;31mred\u001b[0m\r\n10 %\r50 %\r100 %\n\u001b]0;title\u0007plain\n\tindented  \n");
    expect(linesOf(buffer.view())).toEqual(["red", "100 %", "plain", "\tindented  "]);
  });

  it("keeps markup as text", () => {
    const buffer = make();
    buffer.push("<img src=x onerror=alert(1)>\n");
    expect(linesOf(buffer.view())).toEqual(["<img src=x onerror=alert(1)>"]);
  });

  it("cuts a line without an end", () => {
    const buffer = make(1_000, 10);
    buffer.push("x".repeat(25));
    expect(linesOf(buffer.view())).toEqual(["x".repeat(10), "x".repeat(10), "x".repeat(5)]);
    expect(linesOf(make(1_000, 10).view())).toEqual([]);
  });

  it("drops the oldest lines, says how many, and keeps the numbers of the others", () => {
    const buffer = make(300);
    for (let at = 0; at < 1_050; at += 1) buffer.push(`${at}\n`);
    const view = buffer.view();
    expect(view.total).toBe(1_050);
    expect(view.dropped).toBe(800);
    expect(view.blocks[0]).toMatchObject({ first: 800 });
    expect(linesOf(view).at(-1)).toBe("1049");
  });

  it("gives the same block while it does not change", () => {
    const buffer = make();
    buffer.push("x\n".repeat(150));
    const [before] = buffer.view().blocks;
    buffer.push("y\n");
    expect(buffer.view().blocks[0]).toBe(before);
  });

  it("does not depend on where the text was cut, and is never larger than allowed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 40 }), { maxLength: 60 }),
        fc.array(fc.nat(2_000), { maxLength: 20 }),
        (lines, cuts) => {
          const text = lines.join("\n");
          const whole = make(200, 16);
          whole.push(text);
          const pieces = make(200, 16);
          const marks = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
          for (const [at, mark] of marks.entries()) pieces.push(text.slice(mark, marks[at + 1]));
          expect(linesOf(pieces.view())).toEqual(linesOf(whole.view()));
          expect(linesOf(pieces.view()).length).toBeLessThanOrEqual(200);
        },
      ),
    );
  });
});
