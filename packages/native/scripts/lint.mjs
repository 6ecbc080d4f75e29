/**
 * `node scripts/lint.mjs`: clang-tidy and cppcheck over all C and C++ of this package. Any finding fails; exceptions and
 * their reasons are in lint.config.mjs. A file whose text, headers and rules are those of the last clean run is skipped.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { each, root } from "./build-step.mjs";
import { nodeHeaders } from "./node-headers.mjs";
import { CPPCHECK_EXCEPTIONS, TIDY_CHECKS, TIDY_EXCEPTIONS } from "./lint.config.mjs";

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
const sources = [...files(C, [".c"]), ...files(CXX, [".cc"])];
const headers = files([...C, ...CXX, "include", "build/native"], [".h"]);

const isCxx = (file) => file.endsWith(".cc");
// Not its `include_dir`, which is relative to wherever this was started.
const napi = () => dirname(createRequire(import.meta.url).resolve("node-addon-api"));
const flags = (file) =>
  isCxx(file)
    ? ["-std=gnu++20", "-fno-exceptions", "-DNAPI_VERSION=9", "-DNAPI_DISABLE_CPP_EXCEPTIONS", "-D_GNU_SOURCE"].concat([
        "-DNODE_ADDON_API_DISABLE_DEPRECATED",
        "-isystem",
        napi(),
        "-isystem",
        nodeHeaders(),
      ])
    : ["-std=gnu17", "-D_GNU_SOURCE", "-Ibuild/native"];

const tidy = (file) => {
  const off = TIDY_EXCEPTIONS.filter((one) => one.files === undefined || one.files.test(file)).map(
    (one) => `-${one.check}`,
  );
  const checks = ["-*", ...TIDY_CHECKS, ...off].join(",");
  return ["clang-tidy-14", ["--quiet", `--checks=${checks}`, "--warnings-as-errors=*", file, "--", ...flags(file)]];
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
const complaint = ([command, args]) =>
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
    child.once("close", (code) => resolve(code === 0 ? undefined : `${out}${errors}`));
  });

const common = createHash("sha256").update(process.version);
for (const file of [...headers, "scripts/lint.mjs", "scripts/lint.config.mjs"])
  common.update(file).update(readFileSync(join(root, file)));
const digest = (file) =>
  common
    .copy()
    .update(file)
    .update(readFileSync(join(root, file)))
    .digest("hex");

const work = sources.filter((file) => {
  const stamp = join(stamps, `${basename(file)}.stamp`);
  return !existsSync(stamp) || readFileSync(stamp, "utf8") !== digest(file);
});
const total = work.length;
let failed = 0;
mkdirSync(stamps, { recursive: true });

const look = async (file) => {
  const before = digest(file);
  const found = [await complaint(cppcheck(file)), await complaint(tidy(file))].filter((text) => text !== undefined);
  if (found.length === 0) writeFileSync(join(stamps, `${basename(file)}.stamp`), before);
  else {
    failed += 1;
    process.stdout.write(found.join("\n"));
  }
};
try {
  await each(work, look);
  process.stdout.write(`lint: ${sources.length} files, ${total} of them changed, ${failed} with findings\n`);
  process.exitCode = failed === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`lint: ${error.message}\n`);
  process.exitCode = 2;
}
