// `npm test`: sets up (with what the tests need), then runs every check and every test. All of them run even when one has
// failed; the exit status is 0 only if nothing failed. The last line counts the tests.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { guarded, setup } from "./setup.mjs";
import { root, seconds } from "./lib/steps.mjs";

const bin = (name) => join(root, "node_modules", ".bin", name);
const results = join(root, ".berth", "test");

const CHECKS = [
  ["format", bin("oxfmt"), ["--check"]],
  ["lint", bin("oxlint"), ["--type-aware", "--deny-warnings"]],
  ["types", bin("tsc"), ["-p", "tsconfig.check.json"]],
  ["tidy", bin("tsx"), ["tools/tidy.ts"]],
  ["C and C++", process.execPath, ["packages/native/scripts/lint.mjs"]],
  ["fuzz", process.execPath, ["packages/native/scripts/fuzz.mjs", "--seconds", "8"]],
];
const vitest = (project) => [bin("vitest"), ["run", "--project", project]];
/** What starts, runs, talks and ends; tests of it that measure memory or replace malloc leave themselves out, and the spec has a fuzzer. */
const SANITIZED = [
  ...["attach", "exec", "exhausted", "exit", "init", "isolation", "mounts", "network", "output", "process"],
  ...["stop", "version", "resources/update", "security/program"],
].map((name) => `packages/native/test/${name}.test.ts`);
/** Each runs vitest in the end; what it reports is counted. */
const TESTS = [
  ["unit", ...vitest("unit")],
  ["native", ...vitest("native")],
  ["integration", ...vitest("integration")],
  ["sanitized", process.execPath, ["packages/native/scripts/sanitized.mjs", ...SANITIZED]],
  ["v2", process.execPath, ["scripts/test-v2.mjs", "--quick"]],
  ["e2e", ...vitest("e2e")],
];

const say = (text) => process.stderr.write(`${text}\n`);

/** Shows a program's output as it is; resolves to whether it succeeded. */
const runs = (command, args) =>
  spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).status === 0;

const check = ([name, command, args]) => {
  const started = performance.now();
  const done = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 * 2 ** 20,
  });
  const ok = done.status === 0;
  if (!ok) say(`${done.stdout ?? ""}${done.stderr ?? ""}${done.error?.message ?? ""}`);
  say(`  ${name}: ${ok ? seconds(performance.now() - started) : "FAILED"}`);
  return ok;
};

/** One failed test as the end of the log shows it: its file, its name and the first lines of what was wrong. */
const failure = (file, name, message) =>
  `${relative(root, file)}: ${name}\n${message.split("\n").slice(0, 12).join("\n").replaceAll(/^/gm, "    ")}`;

/** What vitest wrote; a file that could not even be loaded counts as one failure, as does a run without a result. */
const read = (file) => {
  try {
    const result = JSON.parse(readFileSync(file, "utf8"));
    const failures = result.testResults.flatMap((one) =>
      one.status === "failed" && one.assertionResults.every(({ status }) => status !== "failed")
        ? [failure(one.name, "the file itself", one.message)]
        : one.assertionResults
            .filter(({ status }) => status === "failed")
            .map((test) => failure(one.name, test.fullName, test.failureMessages.join("\n"))),
    );
    return { passed: result.numPassedTests, skipped: result.numPendingTests + result.numTodoTests, failures };
  } catch (error) {
    return { passed: 0, skipped: 0, failures: [`${relative(root, file)}: no result: ${error.message}`] };
  }
};

const test = ([name, command, args]) => {
  const file = join(results, `${name}.json`);
  rmSync(file, { force: true });
  say(`\nTests: ${name}`);
  const started = performance.now();
  const ok = runs(command, [...args, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`]);
  say(`  ${name}: ${ok ? "" : "FAILED after "}${seconds(performance.now() - started)}`);
  return { name, ok, ...read(file) };
};

await guarded(() => setup({ tests: true, command: "npm test" }));
mkdirSync(results, { recursive: true });
say("Checks");
const failedChecks = CHECKS.filter((one) => !check(one)).map(([name]) => name);
const tested = TESTS.map(test);

const sum = (key) => tested.reduce((total, one) => total + one[key], 0);
const failures = tested.flatMap((one) => one.failures);
const failedTests = tested.filter((one) => !one.ok).map((one) => one.name);
say("");
// Again at the end, where whoever reads a long log looks first.
for (const one of failures) say(`${one}\n`);
if (failedChecks.length > 0) say(`failed checks: ${failedChecks.join(", ")}`);
if (failedTests.length > 0) say(`failed tests: ${failedTests.join(", ")}`);
if (sum("skipped") > 0) say(`${sum("skipped")} skipped`);
process.stdout.write(`${sum("passed")} passed, ${failures.length} failed\n`);
process.exitCode = failedChecks.length + failedTests.length > 0 ? 1 : 0;
