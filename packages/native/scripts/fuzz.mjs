/**
 * `pnpm fuzz [NAME …] [--seconds N] [--minimise]`: the fuzz targets of fuzz/, built with libFuzzer and both sanitizers.
 * Every run starts with the corpus, which holds each input that once broke something; then it looks for new ones. A
 * finding becomes part of the corpus and fails the run. `--minimise` merges what was learned into the corpus.
 */
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { compileEach, each, fail, root, run, sources, step } from "./build-step.mjs";

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

const sanitize = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"];
// The supervisor's own entry is a function like any other here.
const compile = ["-std=gnu17", "-D_GNU_SOURCE", "-Dmain=supervisor_main", "-Ibuild/native", ...sanitize];
const supervisor = sources("src/supervisor", [".c"]);
const objects = join(out, "objects");

/** The supervisor, once for all targets. */
const compiled = () =>
  compileEach("clang-14", [...compile, "-fsanitize=fuzzer-no-link,address,undefined"], supervisor, objects);

/** A target that includes a source file to reach its inside brings that one itself. */
const own = (name) => {
  const text = readFileSync(join(root, "fuzz", `${name}.c`), "utf8");
  return [...text.matchAll(/#include "\.\.\/(src\/supervisor\/\w+\.c)"/g)].map((match) => match[1]);
};

/** The program that unpacks archives has its own sources, and libraries. */
const unpacking = ["archive", "tree", "seal", "names", "report"].map((file) => `src/unpack/${file}.c`);
const further = (name) =>
  readFileSync(join(root, "fuzz", `${name}.c`), "utf8").includes('#include "../src/unpack/')
    ? [...unpacking, "-larchive", "-lcrypto"]
    : [];

/** Makes all targets of this run, from the same inputs: `build/fuzz/NAME`. */
const build = async () => {
  const headers = ["fuzz", "src/supervisor", "src/unpack", "include"].flatMap((folder) => sources(folder, [".h"]));
  const inputs = [...supervisor, ...unpacking, ...headers, "build/native/seccomp_filter.h"];
  let parts;
  for (const name of names) {
    const target = join(out, name);
    await step(name, target, [`fuzz/${name}.c`, ...inputs], async () => {
      parts ??= await compiled();
      const linked = parts.filter((_, at) => !own(name).includes(supervisor[at]));
      const args = [...compile, "-fsanitize=fuzzer,address,undefined"];
      run("clang-14", [...args, "-o", `${target}.new`, `fuzz/${name}.c`, ...linked, ...further(name)]);
      renameSync(`${target}.new`, target);
    });
  }
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
  const target = join(out, name);
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
await build();
const results = await each(names, fuzz);
process.exitCode = results.every(Boolean) ? 0 : 1;
