/**
 * How a test starts a program of this workspace: as it was compiled, when nothing has changed since, else from its
 * sources. Loading what is compiled takes a third of the time, and tests start programs often.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../packages", import.meta.url));

const newest = (directory: string): number =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(
      ({ name, parentPath }) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !parentPath.includes("testing"),
    )
    .reduce((most, { name, parentPath }) => Math.max(most, statSync(join(parentPath, name)).mtimeMs), 0);

/** When its compiler looked at it last; 0 when it never did. */
const compiled = (name: string): number => {
  try {
    return statSync(join(packages, name, "dist", ".tsbuildinfo")).mtimeMs;
  } catch {
    return 0;
  }
};

/** Words for node(1) that run `main` of `name`; `sources` are the directories that it and what it imports are made of. */
export const programOf = (name: string, main: string, sources: Readonly<Record<string, string>>): readonly string[] => {
  const isFresh = Object.entries(sources).every(
    ([owner, folder]) => newest(join(packages, owner, folder)) <= compiled(owner),
  );
  if (isFresh) return [join(packages, name, "dist", `${main}.js`)];
  return ["--import", "tsx", "--conditions=source", join(packages, name, "src", `${main}.ts`)];
};
