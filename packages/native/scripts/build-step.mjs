/** What the builds share: a step that runs only when one of its inputs changed, and fails with what the compiler said. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"];

/** The Debian package of each program that a build or a check of this package runs. */
const PACKAGES = {
  gcc: "build-essential",
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

/** What the program printed; ends this process when it fails or is not there. */
export const run = (command, args, options = {}) => {
  const done = spawnSync(command, args, { cwd: root, encoding: "utf8", ...options });
  if (done.error?.code === "ENOENT")
    fail(`${command} is not installed (Debian: apt-get install ${PACKAGES[command] ?? command})`);
  if (done.status !== 0) fail(`${command} ${args.join(" ")}\n${done.stdout ?? ""}${done.stderr ?? ""}`);
  return done.stdout;
};

/** Files of a folder of this package, relative to it. */
export const sources = (folder, endings) =>
  readdirSync(join(root, folder))
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .sort()
    .map((name) => join(folder, name));

/** Runs `make` unless `target` was made from exactly these inputs by this very script. */
export const step = (name, target, inputs, make) => {
  const hash = createHash("sha256").update(process.version + process.arch);
  const script = relative(root, process.argv[1] ?? "");
  for (const input of [...inputs, script, "scripts/build-step.mjs"])
    hash.update(input).update(readFileSync(join(root, input)));
  const digest = hash.digest("hex");
  const stamp = join(dirname(target), `${name}.stamp`);
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  process.stdout.write(`build: ${name}\n`);
  make();
  writeFileSync(stamp, digest);
};
