/** `pnpm tidy`: the habits of the house, checked by a program. Prints every complaint and exits 1 when there is one. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Problems } from "../packages/schema/src/index.ts";
import * as checks from "./tidy/checks.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What git would commit: tracked files and new ones, without what is ignored or deleted. */
const readTree = (): checks.Files => {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  const files = new Map<string, string>();
  for (const path of new Set(list.split("\0").filter((name) => name !== ""))) {
    try {
      const bytes = readFileSync(join(root, path));
      files.set(path, bytes.includes(0) ? "" : bytes.toString("utf8"));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EISDIR")))
        throw error;
    }
  }
  return files;
};

const all: readonly ((files: checks.Files) => string[])[] = [
  checks.corePurity,
  checks.bundledTypebox,
  checks.orphans,
  checks.todos,
  checks.lengths,
  checks.headers,
  checks.places,
  checks.leftovers,
  checks.titles,
  checks.links,
  checks.documented("docs/reference/problems.md", "the problem", () => Object.keys(Problems)),
  checks.documented("docs/reference/metrics.md", "the metric", checks.metricNames),
];

const files = readTree();
const complaints = all.flatMap((check) => check(files));
for (const complaint of complaints) console.error(complaint);
console.error(complaints.length === 0 ? `tidy: ${files.size} files` : `tidy: ${complaints.length} complaints`);
process.exitCode = complaints.length === 0 ? 0 : 1;
