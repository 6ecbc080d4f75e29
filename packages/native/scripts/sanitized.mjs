/**
 * `pnpm test:sanitized [TEST …]`: the native tests on a supervisor and an addon that were built with AddressSanitizer and
 * UndefinedBehaviorSanitizer, then a look for memory that the addon loses. Arguments go to vitest.
 *
 * A fault of the supervisor or of init aborts it, and what it says arrives in build/sanitize/reports (see
 * test/programs/sanitizer-reports.c). Before anything else both kinds of fault are provoked: silence must mean something.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { compileEach, root, run, sources, step } from "./build-step.mjs";
import { nodeHeaders } from "./node-headers.mjs";

const out = join(root, "build", "sanitize");
const reports = join(out, "reports");
const REPORTS_BYTES = 2 ** 20;
const checkout = dirname(dirname(root));
const headers = [...sources("src/supervisor", [".h"]), ...sources("include", [".h"])];
const sanitize = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-shared-libasan"];
const compile = ["-D_GNU_SOURCE", ...sanitize, "-fno-sanitize-recover=all", "-fno-sanitize=vptr"];

const say = (text) => process.stdout.write(`${text}\n`);
const runtime = () => run("clang-14", ["-print-file-name=libclang_rt.asan-x86_64.so"]).trim();

const buildSupervisor = async () => {
  const target = join(out, "berth-supervisor");
  const files = [...sources("src/supervisor", [".c"]), "test/programs/sanitizer-reports.c"];
  await step("supervisor", target, [...files, ...headers, "build/native/seccomp_filter.h"], async () => {
    const args = ["-std=gnu17", ...compile, "-Ibuild/native", `-DBERTH_SANITIZER_REPORTS="${reports}"`];
    const objects = await compileEach("clang-14", args, files, join(out, "supervisor"));
    run("clang-14", [...sanitize, `-Wl,-rpath,${dirname(runtime())}`, "-o", `${target}.new`, ...objects]);
    renameSync(`${target}.new`, target);
  });
  return target;
};

const buildAddon = async () => {
  const target = join(out, "berth_native.node");
  const files = [...sources("src/addon", [".cc"]), "test/programs/planted-leak.cc"];
  await step("addon", target, [...files, ...sources("src/addon", [".h"]), ...sources("include", [".h"])], async () => {
    const napi = dirname(createRequire(import.meta.url).resolve("node-addon-api"));
    const defines = ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"];
    const args = [
      ...["-std=gnu++20", "-fno-exceptions", "-fPIC", "-fvisibility=hidden", ...compile],
      ...defines.map((name) => `-D${name}`),
      ...["-DNODE_GYP_MODULE_NAME=berth_native", "-isystem", napi, "-isystem", nodeHeaders()],
    ];
    const objects = await compileEach("clang++-14", args, files, join(out, "addon"));
    run("clang++-14", ["-shared", ...sanitize, "-o", `${target}.new`, ...objects]);
    renameSync(`${target}.new`, target);
  });
};

const emptyReports = () => writeFileSync(reports, Buffer.alloc(REPORTS_BYTES));

const readReports = () => {
  const bytes = readFileSync(reports);
  return bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0)));
};

/** Addresses become functions and lines. The supervisor runs from a memory file, whose name says nothing. */
const withLines = (text, supervisor) =>
  text.replaceAll(/\((\S*(?:berth-supervisor|berth_native\.node))[^)]*?\+(0x[0-9a-f]+)\)/g, (all, name, address) => {
    const object = name.includes("supervisor") ? supervisor : name;
    const done = spawnSync("llvm-symbolizer-14", [`--obj=${object}`, address], { encoding: "utf8" });
    return done.status === 0 ? done.stdout.trim().replaceAll("\n", " ") : all;
  });

/** Both sanitizers must be heard, or this whole run proves nothing. */
const provoked = (supervisor) =>
  [
    ["--provoke-address", "stack-buffer-overflow"],
    ["--provoke-undefined", "signed integer overflow"],
  ].every(([option, word]) => {
    emptyReports();
    const { signal } = spawnSync(supervisor, [option], { stdio: "ignore" });
    const ok = signal === "SIGABRT" && readReports().includes(word);
    if (!ok) say(`sanitized: ${option} ended with ${signal} and was not reported: the sanitizers are not at work`);
    return ok;
  });

const preloaded = (more) => ({ ...process.env, BERTH_NATIVE_BUILD: "sanitize", LD_PRELOAD: runtime(), ...more });

const tests = (supervisor) => {
  emptyReports();
  const vitest = join(checkout, "node_modules", "vitest", "vitest.mjs");
  const args = process.argv.slice(2);
  const wanted = args.some((arg) => !arg.startsWith("-")) ? args : ["packages/native", ...args];
  const env = preloaded({ ASAN_OPTIONS: "detect_leaks=0" });
  const { status } = spawnSync(process.execPath, [vitest, "run", "--project", "native", ...wanted], {
    cwd: checkout,
    stdio: ["ignore", "inherit", "inherit"],
    env,
  });
  const said = readReports();
  if (said !== "") say(`sanitized: a supervisor reported\n${withLines(said, supervisor)}`);
  return status === 0 && said === "";
};

/** The engine keeps what it likes until the end; only leaks with a frame of the addon count, and one is planted. */
const leaks = () => {
  const args = ["--import", "tsx", "--conditions=source", join(root, "test", "leaks.ts")];
  const env = preloaded({ ASAN_OPTIONS: "detect_leaks=1:exitcode=0:symbolize=0" });
  const done = spawnSync(process.execPath, args, { cwd: checkout, encoding: "utf8", env, maxBuffer: 2 ** 28 });
  const found = done.stderr
    .split(/\n(?=(?:Direct|Indirect) leak of )/)
    .filter((leak) => /^(Direct|Indirect) leak/.test(leak) && leak.includes("berth_native.node"));
  const planted = found.filter((leak) => leak.startsWith("Direct leak of 4242 byte(s)"));
  const real = found.filter((leak) => !planted.includes(leak));
  say(`sanitized: ${done.stdout.trim()}; the addon lost ${real.length} blocks beside the planted one`);
  if (real.length > 0) say(withLines(real.join("\n"), ""));
  if (done.status !== 0 || planted.length !== 1)
    say(
      `sanitized: the planted leak was found ${planted.length} times, exit ${done.status}\n${done.stderr.slice(-4000)}`,
    );
  return done.status === 0 && planted.length === 1 && real.length === 0;
};

mkdirSync(out, { recursive: true });
run(process.execPath, ["scripts/build.mjs"]);
const supervisor = await buildSupervisor();
await buildAddon();
const results = [provoked(supervisor), tests(supervisor), leaks()];
process.exitCode = results.every(Boolean) ? 0 : 1;
