// `npm test`: sets up (with what the tests need), then runs every check and every test. All of them run even when one has
// failed; the exit status is 0 only if nothing failed. The last line counts the tests.
//
// Two rows of stages at the same time: in front what waits for the kernel, for servers and for containers most of the
// time; behind it, on what it leaves of the processors, what only computes. Nothing behind makes containers or counts what
// the kernel holds, and whatever is said there comes in one piece when its stage has ended.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { guarded, setup } from "./setup.mjs";
import { root, seconds } from "./lib/steps.mjs";

const bin = (name) => join(root, "node_modules", ".bin", name);
const results = join(root, ".berth", "test");

const vitest = (project) => [bin("vitest"), ["run", "--project", project]];
/** What starts, runs, talks and ends; tests of it that measure memory or replace malloc leave themselves out, and the spec has a fuzzer. */
const SANITIZED = [
  ...["attach", "exec", "exhausted", "exit", "init", "isolation", "mounts", "network", "output", "process"],
  ...["stop", "version", "resources/update", "security/program"],
].map((name) => `packages/native/test/${name}.test.ts`);
/** Each runs vitest in the end; what it reports is counted. */
const FRONT = [
  ["native", ...vitest("native")],
  ["integration", ...vitest("integration")],
  ["sanitized", process.execPath, ["packages/native/scripts/sanitized.mjs", ...SANITIZED]],
  ["e2e", ...vitest("e2e")],
];
/** Those that analyse and fuzz make no process that matters to the runtime's own tests, which come first in front. */
const CHECKS = [
  ["format", bin("oxfmt"), ["--check"]],
  ["lint", bin("oxlint"), ["--type-aware", "--deny-warnings"]],
  ["types", bin("tsc"), ["-p", "tsconfig.check.json"]],
  ["tidy", bin("tsx"), ["tools/tidy.ts"]],
  ["C and C++", process.execPath, ["packages/native/scripts/lint.mjs"]],
  ["fuzz", process.execPath, ["packages/native/scripts/fuzz.mjs", "--seconds", "8"]],
];
/** On two processors everything shall take half an hour at most, so nothing new is begun under emulation after this. */
const V2_UNTIL_MS = Date.now() + 23 * 60_000;
const V1_UNTIL_MS = V2_UNTIL_MS + 4 * 60_000;
const BEHIND = [
  ["unit", ...vitest("unit")],
  ["v2", process.execPath, ["scripts/test-vm.mjs", `--until-ms=${V2_UNTIL_MS}`]],
  ["v1", process.execPath, ["scripts/test-vm.mjs", "--cgroups=v1", "--quick", `--until-ms=${V1_UNTIL_MS}`]],
];
/** A ninth of the weight that the kernel's scheduler gives to the row in front. */
const NICE = ["-n", "10"];

const say = (text) => process.stderr.write(`${text}\n`);

/** Shows a program's output as it comes; resolves to whether it succeeded. */
const shown = (command, args) =>
  new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    child.once("error", (error) => {
      say(`${command}: ${error.message}`);
      resolve(false);
    });
    child.once("close", (code) => resolve(code === 0));
  });

/** Keeps what a program says; resolves to that and to whether it succeeded. */
const kept = (command, args) =>
  new Promise((resolve) => {
    const child = spawn("nice", [...NICE, command, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => said.push(chunk));
    child.once("error", (error) => resolve({ ok: false, text: `${command}: ${error.message}\n` }));
    child.once("close", (code) => resolve({ ok: code === 0, text: Buffer.concat(said).toString() }));
  });

const check = async ([name, command, args]) => {
  const started = performance.now();
  const { ok, text } = await kept(command, args);
  say(`${ok ? "" : text}  ${name}: ${ok ? seconds(performance.now() - started) : "FAILED"}`);
  return { name, ok };
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

const tested = async ([name, command, args], isBehind) => {
  const file = join(results, `${name}.json`);
  rmSync(file, { force: true });
  if (!isBehind) say(`\nTests: ${name}`);
  const started = performance.now();
  const all = [...args, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const { ok, text } = isBehind ? await kept(command, all) : { ok: await shown(command, all), text: "" };
  const took = seconds(performance.now() - started);
  say(`${isBehind ? `\nTests: ${name}\n${text}` : ""}  ${name}: ${ok ? "" : "FAILED after "}${took}`);
  return { name, ok, ...read(file) };
};

/** One stage after the other. */
const row = async (stages, run) => {
  const done = [];
  for (const stage of stages) done.push(await run(stage));
  return done;
};

await guarded(() => setup({ tests: true, command: "npm test" }));
mkdirSync(results, { recursive: true });
const [inFront, [checked, behind]] = await Promise.all([
  row(FRONT, (stage) => tested(stage, false)),
  (async () => [await row(CHECKS, check), await row(BEHIND, (stage) => tested(stage, true))])(),
]);
const all = [...inFront, ...behind];

const sum = (key) => all.reduce((total, one) => total + one[key], 0);
const failures = all.flatMap((one) => one.failures);
const failedChecks = checked.filter((one) => !one.ok).map((one) => one.name);
const failedTests = all.filter((one) => !one.ok).map((one) => one.name);
say("");
// Again at the end, where whoever reads a long log looks first.
for (const one of failures) say(`${one}\n`);
if (failedChecks.length > 0) say(`failed checks: ${failedChecks.join(", ")}`);
if (failedTests.length > 0) say(`failed tests: ${failedTests.join(", ")}`);
if (sum("skipped") > 0) say(`${sum("skipped")} skipped`);
process.stdout.write(`${sum("passed")} passed, ${failures.length} failed\n`);
process.exitCode = failedChecks.length + failedTests.length + failures.length > 0 ? 1 : 0;
