/** What the builds share: a step that runs only when one of its inputs changed, and fails with what the compiler said. */
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"];

/** Of the supervisor: musl where it has a vfork(2) of its own, see src/supervisor/libc.h. */
export const supervisorCompiler = process.arch === "x64" ? "musl-gcc" : "gcc";

/** The Debian package of each program that a build or a check of this package runs. */
const PACKAGES = {
  gcc: "build-essential",
  "musl-gcc": "musl-tools",
  strip: "build-essential",
  "clang-14": "clang-14 libclang-rt-14-dev",
  "clang++-14": "clang-14 libclang-rt-14-dev",
  "llvm-symbolizer-14": "llvm-14",
  valgrind: "valgrind",
};

export const fail = (message) => {
  process.stderr.write(`build: ${message}\n`);
  process.exit(1);
};

const missing = (command) =>
  fail(`${command} is not installed (Debian: apt-get install ${PACKAGES[command] ?? command})`);

/** What the program printed; ends this process when it fails or is not there. */
export const run = (command, args, options = {}) => {
  const done = spawnSync(command, args, { cwd: root, encoding: "utf8", ...options });
  if (done.error?.code === "ENOENT") missing(command);
  if (done.status !== 0) fail(`${command} ${args.join(" ")}\n${done.stdout ?? ""}${done.stderr ?? ""}`);
  return done.stdout;
};

/** `work` on each of them, as many at a time as there are processors; what it resolved to, in their order. */
export const each = async (things, work) => {
  const results = [];
  const queue = things.map((thing, at) => [thing, at]);
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results[next[1]] = await work(next[0]);
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), things.length) }, worker));
  return results;
};

/** Compiles each file by itself into `folder`, on all processors; the object files, in the order of the sources. */
export const compileEach = (compiler, args, files, folder) => {
  mkdirSync(folder, { recursive: true });
  return each(files, (file) => {
    const object = join(folder, `${file.replaceAll("/", "-")}.o`);
    return new Promise((resolve) => {
      execFile(compiler, [...args, "-c", "-o", object, file], { cwd: root }, (error, out, errors) => {
        if (error?.code === "ENOENT") missing(compiler);
        if (error !== null) fail(`${compiler} ${args.join(" ")} ${file}\n${out}${errors}`);
        resolve(object);
      });
    });
  });
};

/** Files of a folder of this package, relative to it. */
export const sources = (folder, endings) =>
  readdirSync(join(root, folder))
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .sort()
    .map((name) => join(folder, name));

/** Runs `make` unless `target` was made from exactly these inputs by this very script. */
export const step = async (name, target, inputs, make) => {
  const hash = createHash("sha256").update(process.version + process.arch);
  const script = relative(root, process.argv[1] ?? "");
  for (const input of [...inputs, script, "scripts/build-step.mjs"])
    hash.update(input).update(readFileSync(join(root, input)));
  const digest = hash.digest("hex");
  const stamp = join(dirname(target), `${name}.stamp`);
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  process.stdout.write(`build: ${name}\n`);
  await make();
  writeFileSync(stamp, digest);
};
