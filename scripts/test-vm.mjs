// `pnpm test:v2 [--quick] [TEST …]`: the native tests on pure cgroup v2, in the virtual machine of tools/vm.ts; `pnpm test:v1`
// (`--cgroups=v1`): on v1 without any v2. Arguments go to vitest; a JSON report that they ask for is brought out of the machine.
// What was skipped is named.
// `npm test` runs all of them, with `--until-ms=TIME`: what has not begun by then is left out, and named as well. `--quick` is
// the small part that comes first, of v1 what machines with v1 seldom have: swap to spare and two memory nodes.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "./lib/steps.mjs";

/** A quarter of an hour where nothing else runs; `npm test` does something else beside it. */
const TIMEOUT_S = 2400;

/** Starts and ends, limits that the kernel enforces, and what only v2 has; and quotas, which not every kernel has. */
const QUICK = {
  v1: ["resources/memory", "resources/cpu"].map((name) => `packages/native/test/${name}`),
  v2: ["exit", "limits", "disk", "v2-features"].map((name) => `packages/native/test/${name}`),
};
/** Of the agent: sizes of volumes, which its own disk may not enforce. */
const VOLUMES = "packages/agent/src/adapters/volumes";

const bin = (name) => join(root, "node_modules", ".bin", name);
const say = (text) => process.stdout.write(`${text}\n`);
const inherit = { cwd: root, stdio: ["ignore", "inherit", "inherit"] };

const REPORT = "--outputFile.json=";
const args = process.argv.slice(2);
const report = args.find((arg) => arg.startsWith(REPORT))?.slice(REPORT.length);
const cgroups = args.includes("--cgroups=v1") ? "v1" : "v2";
const named = args.filter((arg) => !arg.startsWith("-"));
const everything = args.includes("--quick") ? QUICK[cgroups] : ["packages/native/test", VOLUMES];
const tests = named.length > 0 ? named : everything;
const UNTIL = "--until-ms=";
const until = args.find((arg) => arg.startsWith(UNTIL))?.slice(UNTIL.length);
const hurry =
  until === undefined ? [] : ["env", `BERTH_TEST_UNTIL_MS=${until}`, `BERTH_TEST_FIRST=${QUICK[cgroups].join(",")}`];
const options = args.filter(
  (arg) => arg.startsWith("-") && !/^--(outputFile\.json=|reporter|quick|until-ms=|cgroups=)/.test(arg),
);

/** Names of tests that did not run, with the describe that says why: those that are not for this machine, and the late ones. */
const skipped = (json, isLate) =>
  json.testResults.flatMap((file) =>
    file.assertionResults
      .filter((one) => one.status === "pending" || one.status === "skipped" || one.status === "todo")
      .filter((one) => (one.meta?.late === true) === isLate)
      .map((one) => one.fullName),
  );
const list = (names) => names.forEach((name) => say(`${cgroups}:   ${name}`));

const directory = mkdtempSync(join(tmpdir(), "berth-vm-"));
const result = join(directory, "result.json");
// Inside, nothing can be written: the tests' agent is compiled here.
const built = spawnSync(bin("tsc"), ["-b", "packages/native"], inherit).status === 0;
const vitest = [
  ...hurry,
  ...[process.execPath, "node_modules/vitest/vitest.mjs", "run", "--project", "native", "--project", "unit"],
  ...tests,
  ...["--configLoader", "runner", "--cache=false", "--no-isolate"],
  ...["--reporter=verbose", "--reporter=json", "--outputFile.json=/dev/ttyS1", ...options],
];
const started = performance.now();
let brought = true;
const { status } = spawnSync(
  bin("tsx"),
  ["tools/vm.ts", "--cgroups", cgroups, "--timeout", String(TIMEOUT_S), "--result", result, "--", ...vitest],
  inherit,
);
try {
  const json = JSON.parse(readFileSync(result, "utf8"));
  if (report !== undefined) {
    mkdirSync(dirname(report), { recursive: true });
    copyFileSync(result, report);
  }
  const names = skipped(json, false);
  say(`${cgroups}: ${json.numPassedTests} passed, ${json.numFailedTests} failed, ${names.length} not for this machine`);
  list(names);
  const late = skipped(json, true);
  if (late.length > 0)
    say(`${cgroups}: ${late.length} were not begun, for the time was up; \`pnpm test:${cgroups}\` runs them:`);
  list(late);
} catch {
  say(`${cgroups}: the machine brought no result`);
  brought = false;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
say(`${cgroups}: ${Math.round((performance.now() - started) / 1000)} s in all`);
process.exitCode = built && brought && status === 0 ? 0 : 1;
