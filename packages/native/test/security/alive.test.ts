/** What stays true when a protection is taken away (tools/mutants.ts): a change that stops everything proves nothing. */
import { expect, test } from "vitest";
import { testHost } from "../host.ts";

const host = testHost();

test("a container starts, says something and ends", async () => {
  const { stdout, exit } = await host.sh("echo alive");
  expect(stdout).toBe("alive\n");
  expect(exit.code).toBe(0);
});
