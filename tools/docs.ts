/**
 * `pnpm docs:reference`: writes the generated reference pages. With `--check` it changes nothing and fails when a page is not what
 * the code says.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pages } from "./docs/pages.ts";

const folder = fileURLToPath(new URL("../docs/reference/", import.meta.url));
const check = process.argv.includes("--check");
const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

mkdirSync(folder, { recursive: true });
for (const [name, render] of pages) {
  const path = join(folder, name);
  const text = render();
  if (read(path) === text) continue;
  if (check) {
    console.error(`docs/reference/${name} is out of date: run pnpm docs:reference`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
    console.error(`wrote docs/reference/${name}`);
  }
}
