/** Programs of test/programs that are made of the supervisor's own files, to bring about what no test could time. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** A program that includes a file, to stand between it and a call, brings that one itself. Its entry is `part_main`. */
export const compilePart = (name: string, target: string): void => {
  const program = here(`./programs/${name}.c`);
  const own = [...readFileSync(program, "utf8").matchAll(/#include "\.\.\/\.\.\/src\/supervisor\/(\w+\.c)"/g)];
  const files = readdirSync(here("../src/supervisor")).filter((file) => file.endsWith(".c"));
  const others = files.filter((file) => !own.some(([, included]) => included === file));
  const options = ["-std=gnu17", "-D_GNU_SOURCE", "-O0", "-Dmain=supervisor_main", `-I${here("../build/native")}`];
  const sources = others.map((file) => join(here("../src/supervisor"), file));
  execFileSync("gcc", [...options, "-Wl,--defsym=main=part_main", "-o", target, program, ...sources]);
};
