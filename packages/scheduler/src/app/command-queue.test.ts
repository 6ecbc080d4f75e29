import { expect, test } from "vitest";
import { ok } from "@berth/schema";
import { manualClock } from "../testing/manual-clock.ts";
import { createCommandQueue, type Command } from "./command-queue.ts";

const command: Command<string> = { cause: "test", splittable: false, decide: () => ok({ records: [], value: "done" }) };

test("the bound refuses at once, the wait refuses in the end, and order is kept", async () => {
  const clock = manualClock();
  const queue = createCommandQueue(clock, { length: 2, waitMs: 1_000 });
  const first = queue.push(command);
  const second = queue.push(command);
  expect(await queue.push(command)).toMatchObject({ ok: false, error: { code: "log.unavailable" } });

  queue.take()[0]?.settle(ok({ value: "first", revision: 1 }));
  expect(await first).toEqual({ ok: true, value: { value: "first", revision: 1 } });

  clock.advance(1_000);
  expect(await second).toMatchObject({ ok: false, error: { code: "leader.unknown" } });
  expect(queue.take()).toEqual([]);
  expect(queue.size()).toBe(0);
});

test("a command that was taken is not given up by its wait", async () => {
  const clock = manualClock();
  const queue = createCommandQueue(clock, { length: 2, waitMs: 1_000 });
  const result = queue.push(command);
  const [taken] = queue.take();
  clock.advance(5_000);
  taken?.settle(ok({ value: "late", revision: 9 }));
  expect(await result).toMatchObject({ ok: true });
});

test("closing refuses what waits and all that comes", async () => {
  const queue = createCommandQueue(manualClock(), { length: 2, waitMs: 1_000 });
  const waiting = queue.push(command);
  queue.close();
  expect(await waiting).toMatchObject({ ok: false, error: { code: "leader.unknown" } });
  expect(await queue.push(command)).toMatchObject({ ok: false, error: { code: "leader.unknown" } });
});

test("those that join each other are taken together, one of each name, and nobody overtakes another", () => {
  const queue = createCommandQueue(manualClock(), { length: 10, waitMs: 1_000 });
  const push = (cause: string, joinsAs?: string): void =>
    void queue.push({ ...command, cause, ...(joinsAs !== undefined && { joinsAs }) });
  push("a1", "a");
  push("b1", "b");
  push("a2", "a");
  push("alone");
  push("c1", "c");
  push("b2", "b");
  const turn = (): string[] => queue.take().map((waiting) => waiting.command.cause);
  expect([turn(), turn(), turn(), turn(), turn()]).toEqual([["a1", "b1"], ["a2"], ["alone"], ["c1", "b2"], []]);
});
