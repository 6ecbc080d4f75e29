import { pino } from "pino";
import { expect, test } from "vitest";
import { closeAll } from "./close-all.ts";

test("closes the last first; what fails or never ends keeps nobody from closing", async () => {
  const closed: string[] = [];
  const never = new Promise<void>(() => {});
  await closeAll(
    [
      () => void closed.push("first"),
      () => never,
      () => Promise.reject(new Error("no")),
      async () => void closed.push("last"),
    ],
    pino({ level: "silent" }),
    20,
  );
  expect(closed).toEqual(["last", "first"]);
});
