import { expect, test } from "vitest";
import { Inlet } from "./inlet.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const read = async (inlet: Inlet): Promise<string> => {
  let text = "";
  for await (const piece of inlet) text += Buffer.from(piece).toString();
  return text;
};

test("pieces are read in the order of their offsets, however they come", async () => {
  const inlet = new Inlet();
  const whole = read(inlet);
  const taken = [
    inlet.write(6, bytes("ghi"), true),
    inlet.write(3, bytes("def"), false),
    inlet.write(0, bytes("abc"), false),
  ];
  expect(await whole).toBe("abcdefghi");
  expect(await Promise.all(taken)).toEqual([true, true, true]);
  expect(inlet.offset).toBe(9);
});

test("a piece that comes again is answered and not taken twice; one that waits already has no room", async () => {
  const inlet = new Inlet();
  const whole = read(inlet);
  await inlet.write(0, bytes("abc"), false);
  expect(await inlet.write(0, bytes("xyz"), false)).toBe(true);
  const waiting = inlet.write(6, bytes("ghi"), true);
  expect(await inlet.write(6, bytes("ghi"), true)).toBe(false);
  await inlet.write(3, bytes("def"), false);
  expect(await waiting).toBe(true);
  expect(await whole).toBe("abcdefghi");
  expect(await inlet.write(6, bytes("ghi"), true)).toBe(true);
  await expect(inlet.write(9, bytes("more"), true)).rejects.toThrow("the archive ended with byte 9");
  await expect(inlet.write(0, bytes("abc"), true)).rejects.toThrow("this piece of it ends with byte 3");
});

test("a piece that comes again while it is worked on takes no room, and blocks none", async () => {
  const inlet = new Inlet();
  const reader = inlet[Symbol.asyncIterator]();
  const first = inlet.write(0, bytes("abc"), false);
  await reader.next();
  expect(await inlet.write(0, bytes("abc"), false)).toBe(false);
  const next = reader.next();
  expect(await first).toBe(true);
  const ahead = Array.from({ length: 8 }, (_, at) => inlet.write(3 + at, bytes("x"), at === 7));
  await next;
  for (let at = 0; at < 8; at += 1) await reader.next();
  expect(await Promise.all(ahead)).toEqual(ahead.map(() => true));
});

test("whoever works on a piece that failed meanwhile leaves nobody waiting for it", async () => {
  const inlet = new Inlet();
  const reader = inlet[Symbol.asyncIterator]();
  const first = inlet.write(0, bytes("abc"), false);
  await reader.next();
  inlet.fail(new Error("over"));
  await expect(first).rejects.toThrow("over");
});

test("it is starved while its reader waits, and neither while it works nor when all of it has come", async () => {
  const inlet = new Inlet();
  const reader = inlet[Symbol.asyncIterator]();
  expect(inlet.isStarved).toBe(false);
  const first = reader.next();
  expect(inlet.isStarved).toBe(true);
  void inlet.write(0, bytes("abc"), false);
  await first;
  expect(inlet.isStarved).toBe(false);
  const second = reader.next();
  expect(inlet.isStarved).toBe(true);
  void inlet.write(3, bytes("def"), true);
  await second;
  expect(await reader.next()).toMatchObject({ done: true });
  expect(inlet.isStarved).toBe(false);
});

test("what runs too far ahead has no room: neither too many pieces nor one too far away", async () => {
  const inlet = new Inlet();
  const ahead = Array.from({ length: 8 }, (_, at) => inlet.write(at + 1, bytes("x"), false));
  expect(await inlet.write(9, bytes("x"), false)).toBe(false);
  expect(await new Inlet().write(9 * 2 ** 20, bytes("x"), false)).toBe(false);
  const refused = Promise.allSettled(ahead);
  inlet.fail(new Error("over"));
  for (const one of await refused) expect(one.status).toBe("rejected");
});

test("a failure reaches who reads, who waits and who writes later", async () => {
  const inlet = new Inlet();
  const whole = read(inlet);
  await inlet.write(0, bytes("abc"), false);
  inlet.fail(new Error("the line broke"));
  await expect(whole).rejects.toThrow("the line broke");
  await expect(inlet.write(3, bytes("def"), true)).rejects.toThrow("the line broke");
});
