/** Pages that say which test shows a sentence: `FILE`: "name", "name"; files relative to packages/, or from the root. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const GROUP = /`([\w/.-]+\.test\.ts)`: ((?:"[^"]+"(?:, )?)+)/g;

/** The cells of every table row of a page, heads and rules left out. */
export const rowsOf = (page: string): readonly (readonly string[])[] =>
  page
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| --"))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );

const textOf = (file: string): string | undefined => {
  const path = [join(root, "packages", file), join(root, file)].find((one) => existsSync(one));
  return path === undefined ? undefined : readFileSync(path, "utf8");
};

/** What a cell names and is not there; a cell that names nothing is wrong, too. */
export const missingTests = (cell: string): readonly string[] => {
  const groups = [...cell.matchAll(GROUP)];
  if (groups.length === 0) return [`no test: ${cell}`];
  return groups.flatMap(([, file = "", names = ""]) => {
    const text = textOf(file);
    if (text === undefined) return [file];
    return [...names.matchAll(/"([^"]+)"/g)].flatMap(([, name = ""]) =>
      text.includes(name) ? [] : [`${file}: ${name}`],
    );
  });
};
