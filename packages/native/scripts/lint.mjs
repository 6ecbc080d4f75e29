/**
 * `node scripts/lint.mjs`: clang-tidy and cppcheck over all C and C++ of this package. Any finding fails; exceptions and
 * their reasons are in lint.config.mjs. What has the text, headers and rules of the last clean run is skipped.
 *
 * clang-tidy looks at all C++ as one file: most of what it does there is to walk through the headers of Node and of the
 * standard library, 16 s for a file of ten lines.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { each, root } from "./build-step.mjs";
import { nodeHeaders } from "./node-headers.mjs";
import { CPPCHECK_EXCEPTIONS, TIDY_ALIASES, TIDY_CHECKS, TIDY_EXCEPTIONS } from "./lint.config.mjs";

const stamps = join(root, "build", "lint");
const C = ["src/supervisor", "src/unpack", "src/pack", "src/seccomp"];
const CXX = ["src/addon"];

const files = (folders, endings) =>
  folders.flatMap((folder) =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder))
          .filter((name) => endings.some((ending) => name.endsWith(ending)))
          .sort()
          .map((name) => join(folder, name))
      : [],
  );
const cxx = files(CXX, [".cc"]);
// What takes longest comes first.
const units = [
  { name: "addon", files: cxx },
  ...files(C, [".c"]).map((file) => ({ name: basename(file), files: [file] })),
];
const headers = files([...C, ...CXX, "include", "build/native"], [".h"]);

const isCxx = (file) => file.endsWith(".cc");
// Not its `include_dir`, which is relative to wherever this was started.
const napi = () => dirname(createRequire(import.meta.url).resolve("node-addon-api"));
const flags = (file) =>
  isCxx(file)
    ? [
        "-std=gnu++20",
        ...CXX.map((folder) => `-I${folder}`),
        "-fno-exceptions",
        "-DNAPI_VERSION=9",
        "-DNAPI_DISABLE_CPP_EXCEPTIONS",
        "-D_GNU_SOURCE",
      ].concat(["-DNODE_ADDON_API_DISABLE_DEPRECATED", "-isystem", napi(), "-isystem", nodeHeaders()])
    : ["-std=gnu17", "-D_GNU_SOURCE", "-Ibuild/native"];

/** The files one after the other, each with its own exceptions; and how to say of which one clang-tidy speaks. */
const joined = ({ name, files }) => {
  const path = join("build", "lint", `${name}.cc`);
  const starts = [];
  let text = "";
  for (const file of files) {
    const off = TIDY_EXCEPTIONS.filter((one) => one.files?.test(file)).map((one) => one.check);
    const begin = off.map((check) => `// NOLINTBEGIN(${check})\n`).join("");
    const end = off
      .map((check) => `// NOLINTEND(${check})\n`)
      .reverse()
      .join("");
    text += begin;
    starts.push({ file, line: text.split("\n").length });
    text += `${readFileSync(join(root, file), "utf8")}\n${end}`;
  }
  writeFileSync(join(root, path), text);
  const place = new RegExp(`[^\\s]*${name}\\.cc:(\\d+)`, "g");
  const named = (said) =>
    said.replaceAll(place, (_, line) => {
      const { file, line: first } = starts.findLast((one) => one.line <= Number(line)) ?? { file: path, line: 1 };
      return `${file}:${Number(line) - first + 1}`;
    });
  return { path, named };
};

const tidy = (unit) => {
  const isOne = unit.files.length === 1;
  const { path: file, named } = isOne ? { path: unit.files[0], named: (said) => said } : joined(unit);
  const off = TIDY_EXCEPTIONS.filter((one) => one.files === undefined || (isOne && one.files.test(file)));
  const checks = [
    "-*",
    ...TIDY_CHECKS,
    ...TIDY_ALIASES.map((check) => `-${check}`),
    ...off.map(({ check }) => `-${check}`),
  ];
  const args = ["--quiet", `--checks=${checks.join(",")}`, "--warnings-as-errors=*", file, "--", ...flags(file)];
  return ["clang-tidy-14", args, named];
};

const cppcheck = (file) => {
  const off = CPPCHECK_EXCEPTIONS.filter((one) => one.files === undefined || one.files.includes(file)).map(
    (one) => `--suppress=${one.check}`,
  );
  const language = isCxx(file) ? "--std=c++20" : "--std=c17";
  const enable = "--enable=warning,performance,portability,style";
  const args = ["-q", enable, "--library=posix,gnu", language, "-D_GNU_SOURCE", "-Iinclude", "--error-exitcode=1"];
  return ["cppcheck", [...args, ...off, file]];
};

/** Resolves to what the program said when it failed, and to nothing otherwise. */
const complaint = ([command, args, named = (said) => said]) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let errors = "";
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (errors += text));
    child.once("error", (error) => {
      const hint = error.code === "ENOENT" ? " (Debian: apt-get install clang-tidy-14 cppcheck)" : "";
      reject(new Error(`${command} could not be run: ${error.message}${hint}`));
    });
    // clang-tidy counts suppressed warnings on stderr also when all is well.
    child.once("close", (code) => resolve(code === 0 ? undefined : named(`${out}${errors}`)));
  });

const common = createHash("sha256").update(process.version);
for (const file of [...headers, "scripts/lint.mjs", "scripts/lint.config.mjs"])
  common.update(file).update(readFileSync(join(root, file)));
const digest = (unit) => {
  const hash = common.copy();
  for (const file of unit.files) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest("hex");
};
const stampOf = (unit) => join(stamps, `${unit.name}.stamp`);

const work = units.filter((unit) => !existsSync(stampOf(unit)) || readFileSync(stampOf(unit), "utf8") !== digest(unit));
let failed = 0;
mkdirSync(stamps, { recursive: true });

const look = async (unit) => {
  const before = digest(unit);
  const found = [];
  for (const command of [...unit.files.map(cppcheck), tidy(unit)]) {
    const text = await complaint(command);
    if (text !== undefined) found.push(text);
  }
  if (found.length === 0) writeFileSync(stampOf(unit), before);
  else {
    failed += 1;
    process.stdout.write(found.join("\n"));
  }
};
try {
  await each(work, look);
  const count = (some) => some.reduce((sum, unit) => sum + unit.files.length, 0);
  process.stdout.write(`lint: ${count(units)} files, ${count(work)} of them looked at, findings in ${failed} units\n`);
  process.exitCode = failed === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`lint: ${error.message}\n`);
  process.exitCode = 2;
}
