/**
 * `npm test`: sets everything up (tests included), checks format, lint, types and tidiness, then runs every ring of
 * tests. Ends with one line `N passed, N failed` over all rings; the exit status is 0 only when all of it is well.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pnpm, root, runMain, setup } from "./setup.mjs";

const reports = join(root, "node_modules", ".berth-test");

const run = (command) =>
  new Promise((resolve) => {
    process.stdout.write(`\n$ ${command.join(" ")}\n`);
    const child = spawn(command[0], command.slice(1), {
      cwd: root,
      env: { ...process.env, npm_config_loglevel: "error" },
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.once("error", () => resolve(127));
    child.once("close", (code) => resolve(code ?? 1));
  });

const ring = async (name) => {
  const report = join(reports, `${name}.json`);
  const code = await run([
    ...pnpm,
    "exec",
    "vitest",
    "run",
    "--project",
    name,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ]);
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites } = JSON.parse(
      readFileSync(report, "utf8"),
    );
    // A file that cannot even be loaded counts as a failure although it holds no failed test.
    const failed = Math.max(numFailedTests, numFailedTests === 0 && numFailedTestSuites > 0 ? numFailedTestSuites : 0);
    return { name, code, passed: numPassedTests, failed, skipped: numPendingTests };
  } catch {
    return { name, code, passed: 0, failed: 1, skipped: 0 };
  }
};

await runMain(async () => {
  const only = process.argv.slice(2);
  await setup({ tests: true });
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const failures = [];
  for (const check of ["format:check", "lint", "types", "tidy"]) {
    if ((await run([...pnpm, check])) !== 0) failures.push(check);
  }
  const results = [];
  for (const name of ["unit", "integration", "e2e"]) {
    if (only.length > 0 && !only.includes(name)) continue;
    const result = await ring(name);
    results.push(result);
    if (result.code !== 0) failures.push(name);
  }
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  process.stdout.write("\n");
  for (const { name, passed, failed, skipped } of results) {
    process.stdout.write(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  }
  if (failures.length > 0) process.stdout.write(`not well: ${failures.join(", ")}\n`);
  process.stdout.write(
    `${sum("passed")} passed, ${sum("failed") + (sum("failed") === 0 && failures.length > 0 ? 1 : 0)} failed\n`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
});
