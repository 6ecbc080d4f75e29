// Whether something was made from exactly these files: a hash over names and contents, kept beside the work.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root, workDir } from "./steps.mjs";

const SKIP = new Set(["node_modules", "dist", "build", "coverage", ".git", ".berth"]);

const walk = function* (path) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) {
    yield path;
    return;
  }
  for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (SKIP.has(entry.name)) continue;
    if (entry.isDirectory()) yield* walk(join(path, entry.name));
    else if (entry.isFile()) yield join(path, entry.name);
  }
};

/** The hash of all files at and below `paths` (relative to the root), and of this Node. */
export const hashOf = (paths) => {
  const hash = createHash("sha256").update(`${process.version} ${process.arch}\n`);
  for (const path of paths) {
    for (const file of walk(join(root, path))) {
      const content = readFileSync(file);
      hash.update(`${file.slice(root.length)} ${content.length}\n`).update(content);
    }
  }
  return hash.digest("hex");
};

const stampFile = (name) => join(workDir, `${name}.stamp`);

/** Runs `make` unless `outputs` exist and were made from the same inputs. Returns whether it ran. */
export const whenChanged = async (name, { inputs, outputs }, make) => {
  const hash = hashOf(inputs);
  const file = stampFile(name);
  const fresh = outputs.every((path) => existsSync(join(root, path)));
  if (fresh && existsSync(file) && readFileSync(file, "utf8") === hash) return false;
  // A stamp that outlives a failed attempt would call it done.
  rmSync(file, { force: true });
  await make();
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, hash);
  return true;
};
