/** A read is answered with all that was acknowledged before it began, or says how old its answer may be. */
import { expect, test } from "vitest";
import type { LogEnd } from "../ports/log.ts";
import { manualClock } from "../testing/manual-clock.ts";
import { createFreshness } from "./freshness.ts";

const setUp = (more: { readonly isAlone?: boolean } = {}) => {
  const clock = manualClock();
  const questions: { readonly answer: (lastSequence: number) => void; readonly fail: () => void }[] = [];
  const now = { revision: 5, isUp: true };
  const freshness = createFreshness({
    clock,
    log: {
      end: () =>
        new Promise<LogEnd>((resolve, reject) => {
          questions.push({
            answer: (lastSequence) => resolve({ firstSequence: 1, lastSequence, bytes: 0, incarnation: "x" }),
            fail: () => reject(new Error("no answer")),
          });
        }),
    },
    isUp: () => now.isUp,
    revision: () => now.revision,
    isAlone: more.isAlone ?? false,
  });
  const turn = async (ms = 0): Promise<void> => {
    for (let at = 0; at < 20; at += 1) await Promise.resolve();
    clock.advance(ms);
    for (let at = 0; at < 20; at += 1) await Promise.resolve();
  };
  return { freshness, questions, now, turn };
};

test("a read waits until everything is folded that the log had when it was asked", async () => {
  const { freshness, now, questions, turn } = setUp();
  let answer: number | undefined;
  void freshness.behindMs().then((ms) => (answer = ms));
  await turn();
  questions[0]?.answer(7);
  await turn(100);
  expect(answer).toBeUndefined();
  now.revision = 7;
  await turn(100);
  expect(answer).toBe(0);
});

test("whoever comes while the log is asked is not served by that question, and all of them share the next", async () => {
  const { freshness, now, questions, turn } = setUp();
  const answers: number[] = [];
  const read = (): void => void freshness.behindMs().then((ms) => answers.push(ms));
  read();
  await turn();
  // Acknowledged elsewhere after the first question, and before these two.
  read();
  read();
  await turn();
  expect(questions).toHaveLength(1);
  questions[0]?.answer(5);
  await turn();
  expect(answers).toEqual([0]);
  expect(questions).toHaveLength(2);
  questions[1]?.answer(6);
  await turn(10);
  expect(answers).toEqual([0]);
  now.revision = 6;
  await turn(10);
  expect(answers).toEqual([0, 0, 0]);
});

test("in an outage it is served all the same, with the time since it was certain", async () => {
  const { freshness, now, questions, turn } = setUp();
  const behind = async (during: () => Promise<void>): Promise<number> => {
    const asked = freshness.behindMs();
    await turn();
    await during();
    return asked;
  };
  expect(await behind(async () => questions.at(-1)?.answer(5))).toBe(0);
  await turn(700);
  // The log is silent.
  expect(await behind(() => turn(1_000))).toBe(1_700);
  // It refuses.
  expect(await behind(async () => questions.at(-1)?.fail())).toBe(1_700);
  // It answers, and is not read.
  expect(
    await behind(async () => {
      questions.at(-1)?.answer(9);
      await turn(1_000);
      await turn(1_000);
    }),
  ).toBe(3_700);
  // The line is down: nobody is asked.
  now.isUp = false;
  const before = questions.length;
  expect(await behind(async () => {})).toBe(3_700);
  expect(questions).toHaveLength(before);
});

test("alone with a server of its own it asks nobody", async () => {
  const { freshness, questions } = setUp({ isAlone: true });
  expect(await freshness.behindMs()).toBe(0);
  expect(questions).toEqual([]);
});
