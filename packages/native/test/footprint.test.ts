/** What a running container costs beside its program: the proportional share of its supervisor and its init. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { statusField, supervisorOf, testHost } from "./host.ts";

const host = testHost();
const CONTAINERS = 30;
const MOST_KIB = 150;

const secrets = {
  target: "/run/secrets",
  files: Object.fromEntries(["one", "two", "three"].map((name) => [name, new Uint8Array(1024)])),
};

const pssKib = (pid: number): number =>
  Number(/^Pss: +(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);

/* A build with sanitizers keeps shadow memory, and measures nothing that a user would have. */
test.skipIf(process.env["BERTH_NATIVE_BUILD"] !== undefined).each([
  ["plain", {}],
  ["with three secrets of 1 KiB, which they keep in memory", { secrets }],
] as const)(`at most ${MOST_KIB} KiB each, with ${CONTAINERS} of them, %s`, async (_what, more) => {
  const containers = await Promise.all(Array.from({ length: CONTAINERS }, () => host.start(["sleep", "1000"], more)));
  const helpers = containers.flatMap(({ pid }) => [supervisorOf(pid ?? 0), Number(statusField(pid ?? 0, "PPid"))]);
  const each = helpers.reduce((sum, pid) => sum + pssKib(pid), 0) / CONTAINERS;
  process.stdout.write(`footprint: ${each.toFixed(0)} KiB PSS for supervisor and init\n`);
  await Promise.all(
    containers.map(async (container) => {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }),
  );
  expect(each).toBeLessThanOrEqual(MOST_KIB);
});
