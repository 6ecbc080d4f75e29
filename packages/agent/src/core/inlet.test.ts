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
  expect(await inlet.write(9, bytes("more"), false)).toBe(true);
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
