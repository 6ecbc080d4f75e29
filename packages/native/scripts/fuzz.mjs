/**
 * `pnpm fuzz [NAME …] [--seconds N] [--minimise]`: the fuzz targets of fuzz/, built with libFuzzer and both sanitizers.
 * Every run starts with the corpus, which holds each input that once broke something; then it looks for new ones. A
 * finding becomes part of the corpus and fails the run. `--minimise` merges what was learned into the corpus.
 */
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { fail, root, run, sources, step } from "./build-step.mjs";

const out = join(root, "build", "fuzz");
const checkout = dirname(dirname(root));
const all = sources("fuzz", [".c"]).map((file) => basename(file, ".c"));
const { values, positionals } = parseArgs({
  options: { seconds: { type: "string", default: "10" }, minimise: { type: "boolean", default: false } },
  allowPositionals: true,
});
const names = positionals.length === 0 ? all : positionals;
const unknown = names.filter((name) => !all.includes(name));
if (unknown.length > 0) fail(`no fuzz target ${unknown.join(", ")}; there are ${all.join(", ")}`);
if (!(Number(values.seconds) >= 1)) fail("--seconds takes a number from 1 on");

/** A target that includes a source file to reach its inside brings that one itself. */
const linked = (name) => {
  const text = readFileSync(join(root, "fuzz", `${name}.c`), "utf8");
  const own = [...text.matchAll(/#include "\.\.\/(src\/supervisor\/\w+\.c)"/g)].map((match) => match[1]);
  return sources("src/supervisor", [".c"]).filter((file) => !own.includes(file));
};

const build = (name) => {
  const target = join(out, name);
  const files = [`fuzz/${name}.c`, ...linked(name)];
  const headers = ["fuzz", "src/supervisor", "include"].flatMap((folder) => sources(folder, [".h"]));
  const inputs = [...files, ...sources("src/supervisor", [".c"]), ...headers, "build/native/seccomp_filter.h"];
  step(name, target, [...new Set(inputs)], () => {
    const sanitize = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=fuzzer,address,undefined"];
    // The supervisor's own entry is a function like any other here.
    const args = ["-std=gnu17", "-D_GNU_SOURCE", "-Dmain=supervisor_main", ...sanitize, "-fno-sanitize-recover=all"];
    run("clang-14", [...args, "-Ibuild/native", "-o", `${target}.new`, ...files]);
    renameSync(`${target}.new`, target);
  });
  return target;
};

/** Resolves to the exit code and everything that was printed. */
const output = (command, args) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: out, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (part) => (text = (text + part).slice(-65_536)));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, text }));
  });

const fuzz = async (name) => {
  const target = build(name);
  const corpus = join(root, "fuzz", "corpus", name);
  const learned = join(out, `${name}.learned`);
  const found = join(out, `${name}.found`);
  rmSync(found, { recursive: true, force: true });
  for (const directory of [corpus, learned, found]) mkdirSync(directory, { recursive: true });
  const seeds = name === "spec" ? [specSeeds()] : [];
  const limits = ["-timeout=10", "-rss_limit_mb=1024", `-artifact_prefix=${found}/`];
  const time = `-max_total_time=${values.seconds}`;
  const { code, text } = await output(target, [...limits, time, learned, corpus, ...seeds]);
  for (const file of readdirSync(found)) copyFileSync(join(found, file), join(corpus, file));
  const runs = Number(/^Done (\d+) runs/m.exec(text)?.[1] ?? 0);
  const coverage = [...text.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? "0";
  const ok = code === 0 && runs > 0;
  process.stdout.write(`fuzz: ${name}: ${runs} inputs, ${coverage} edges${ok ? "" : ", FAILED"}\n`);
  if (!ok) process.stdout.write(`${text}\nThe input is now in ${corpus}: it will fail until this is mended.\n`);
  else if (values.minimise) await minimise(target, corpus, [learned, ...seeds]);
  return ok;
};

const specSeeds = () => {
  const directory = join(out, "spec.seeds");
  run(process.execPath, ["--import", "tsx", "--conditions=source", join(root, "fuzz", "seeds.ts"), directory], {
    cwd: checkout,
  });
  return directory;
};

/** What once broke something stays as it is. */
const minimise = async (target, corpus, from) => {
  const merged = `${corpus}.merged`;
  rmSync(merged, { recursive: true, force: true });
  mkdirSync(merged, { recursive: true });
  const { code, text } = await output(target, ["-merge=1", "-reduce_inputs=1", merged, corpus, ...from]);
  if (code !== 0) fail(`merging ${basename(corpus)}: ${text}`);
  for (const file of readdirSync(corpus))
    if (/^(crash|leak|timeout|oom)-/.test(file)) copyFileSync(join(corpus, file), join(merged, file));
  rmSync(corpus, { recursive: true, force: true });
  renameSync(merged, corpus);
  process.stdout.write(`fuzz: ${basename(corpus)}: ${readdirSync(corpus).length} inputs kept\n`);
};

mkdirSync(out, { recursive: true });
if (!existsSync(join(root, "build", "native", "seccomp_filter.h"))) run(process.execPath, ["scripts/build.mjs"]);
const queue = [...names];
const results = [];
const worker = async () => {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) results.push(await fuzz(name));
};
await Promise.all(Array.from({ length: Math.min(availableParallelism(), names.length) }, worker));
process.exitCode = results.every(Boolean) ? 0 : 1;
