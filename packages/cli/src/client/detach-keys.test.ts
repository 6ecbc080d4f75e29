import { expect, test } from "vitest";
import { createDetachFilter, parseDetachKeys } from "./detach-keys.ts";

const keys = (text: string): Buffer => parseDetachKeys(text) ?? Buffer.from("not keys");

test("keys are named as people name them", () => {
  expect([...keys("ctrl-p,ctrl-q")]).toEqual([16, 17]);
  expect([...keys("ctrl-],x,~")]).toEqual([29, 120, 126]);
  for (const wrong of ["", "ctrl-", "ctrl-p,", "ctrl-pq", "xy", "ctrl-1", "é"]) {
    expect([wrong, parseDetachKeys(wrong)]).toEqual([wrong, undefined]);
  }
});

/** Everything pushed in pieces: what the program gets, and whether it was left. */
const typed = (sequence: string, ...pieces: string[]): { readonly got: string; readonly left: boolean } => {
  const filter = createDetachFilter(Buffer.from(sequence));
  let got = "";
  for (const piece of pieces) {
    const { bytes, detach } = filter.push(Buffer.from(piece));
    got += bytes.toString();
    if (detach) return { got, left: true };
  }
  return { got, left: false };
};

test("the sequence leaves, also in pieces, and what came before it is given", () => {
  expect(typed("PQ", "abPQcd")).toEqual({ got: "ab", left: true });
  expect(typed("PQ", "abP", "Q")).toEqual({ got: "ab", left: true });
});

test("a beginning that does not go on is given, in its order", () => {
  expect(typed("PQ", "P", "x")).toEqual({ got: "Px", left: false });
  expect(typed("PQ", "PP", "Q")).toEqual({ got: "P", left: true });
  expect(typed("aab", "aaab")).toEqual({ got: "a", left: true });
  expect(typed("abac", "ababac")).toEqual({ got: "ab", left: true });
  expect(typed("PQ", "Pé", "PQ")).toEqual({ got: "Pé", left: true });
});
