import { propertySeed } from "./tools/property-seed.ts";
import { FirstThingsFirst } from "./tools/vm/sequencer.ts";
import { defineConfig } from "vitest/config";

const shared = {
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"] } },
};
/** On a busy machine a real process may miss a patience of seconds: CI tries once more, and prints that it did. */
const retry = process.env["CI"] === undefined ? 0 : 1;
/** Under emulation, as `pnpm test:v2` does it, a program takes some thirty times as long to start. */
const patience = process.env["BERTH_VM"] === undefined ? 60_000 : 240_000;
/** A run that has only so long does first what matters most, and says what it did not get to. */
const isHurried = process.env["BERTH_TEST_UNTIL_MS"] !== undefined;
/** For the rings that have properties. */
const seeded = { env: { BERTH_PROPERTY_SEED: String(propertySeed()) }, setupFiles: ["tools/seed-properties.ts"] };
const never = ["**/dist/**", "**/node_modules/**", "**/build/**"];

/**
 * Four rings: `unit` needs nothing but Node; `native` is the runtime on the real kernel, one file at a time (its tests count
 * what the whole kernel holds); `integration` adds a real nats-server; `e2e` drives the built programs as a user would.
 */
export default defineConfig({
  test: {
    ...(isHurried && { sequence: { sequencer: FirstThingsFirst } }),
    projects: [
      {
        ...shared,
        test: {
          ...seeded,
          name: "unit",
          include: ["packages/*/{src,lib,sim}/**/*.test.ts", "tools/**/*.test.ts"],
          exclude: [...never, "**/*.integration.test.ts"],
          // Properties try hundreds of inputs, and `npm test` runs them behind everything else: longer than vitest's five seconds.
          testTimeout: 90_000,
          // Nothing of it keeps state in a module or replaces one: loading everything once per file was most of its time.
          isolate: false,
        },
      },
      {
        ...shared,
        test: {
          ...seeded,
          name: "native",
          setupFiles: [...seeded.setupFiles, ...(isHurried ? ["packages/native/test/deadline.ts"] : [])],
          include: ["packages/native/test/**/*.test.ts"],
          exclude: never,
          fileParallelism: false,
          // One process for all of them: loading everything once per file was a third of the run.
          isolate: false,
          testTimeout: patience,
          hookTimeout: patience,
          pool: "forks",
          retry,
        },
      },
      {
        ...shared,
        test: {
          name: "integration",
          include: ["packages/*/{src,lib,test}/**/*.integration.test.ts"],
          exclude: never,
          // Each file has servers and directories of its own, and waits for them most of the time.
          maxWorkers: 2,
          testTimeout: patience,
          hookTimeout: patience,
          pool: "forks",
          retry,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          exclude: never,
          // Each file has a cluster of its own, and waits for it most of the time.
          maxWorkers: 2,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          pool: "forks",
          retry,
        },
      },
    ],
  },
});
