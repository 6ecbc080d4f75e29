import { setImmediate as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

const never = new AbortController().signal;
const gate = () => {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
};

test("no more than allowed run at a time, the others in the order of asking", async () => {
  const turns = new Turns(2);
  const gates = Array.from({ length: 5 }, gate);
  const begun: number[] = [];
  const all = gates.map(({ passed }, at) =>
    turns.run(never, async () => {
      begun.push(at);
      await passed;
    }),
  );
  await pause();
  expect(begun).toEqual([0, 1]);
  gates[1]?.open();
  await pause();
  expect(begun).toEqual([0, 1, 2]);
  for (const { open } of gates) open();
  await Promise.all(all);
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  expect(turns.taken).toBe(0);
});

test("work that fails gives its turn to the next", async () => {
  const turns = new Turns(1);
  const failed = turns.run(never, () => Promise.reject(new Error("no")));
  const next = turns.run(never, () => Promise.resolve("yes"));
  await expect(failed).rejects.toThrow("no");
  expect(await next).toBe("yes");
});

test("whoever gives up while waiting leaves the queue and never begins", async () => {
  const turns = new Turns(1);
  const { open, passed } = gate();
  const first = turns.run(never, () => passed);
  const stop = new AbortController();
  let ran = false;
  const second = turns.run(stop.signal, () => {
    ran = true;
    return Promise.resolve();
  });
  const third = turns.run(never, () => Promise.resolve("third"));
  stop.abort(new Error("enough"));
  await expect(second).rejects.toThrow("enough");
  open();
  await first;
  expect(await third).toBe("third");
  expect(ran).toBe(false);
  await expect(turns.run(stop.signal, () => Promise.resolve())).rejects.toThrow("enough");
});
