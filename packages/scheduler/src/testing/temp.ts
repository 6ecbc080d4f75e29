/** Directories and waits for tests. Directories are removed when the test file is done, whatever happened. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const cleanups: (() => void | Promise<void>)[] = [];

// Registered while the test file is being read: hooks that are registered inside a running test are never called.
afterAll(async () => {
  const failures: unknown[] = [];
  for (const clean of cleanups.splice(0).reverse()) {
    try {
      await clean();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "cleaning up failed");
});

/** Runs when the tests of this file are over, the last one first. */
export const afterTests = (clean: () => void | Promise<void>): void => void cleanups.push(clean);

export const tempDir = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "berth-test-"));
  afterTests(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `probe` gives something other than undefined or false. Fails with what it last saw. */
export const eventually = async <T>(
  what: string,
  probe: () => T | Promise<T>,
  patienceMs = 20_000,
): Promise<NonNullable<T>> => {
  const until = performance.now() + patienceMs;
  let last: unknown;
  while (performance.now() < until) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    await sleep(25);
  }
  throw new Error(`${what} did not happen; last seen: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
};
