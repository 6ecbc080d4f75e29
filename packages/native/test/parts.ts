/** Programs of test/programs that are made of the supervisor's own files, to bring about what no test could time. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const OPTIONS = ["-std=gnu17", "-D_GNU_SOURCE", "-O0", "-Dmain=supervisor_main", `-I${here("../build/native")}`];

/** All files of the supervisor, compiled once for as long as they stay what they are. */
const archive = (): string => {
  const source = here("../src/supervisor");
  const files = readdirSync(source).filter((file) => /\.[ch]$/.test(file));
  const hash = createHash("sha256").update(OPTIONS.join(" "));
  for (const file of files) hash.update(file).update(readFileSync(join(source, file)));
  const kept = here(`../build/test-programs/parts-${hash.digest("hex")}.a`);
  if (existsSync(kept)) return kept;
  const objects = mkdtempSync(join(tmpdir(), "berth-parts-"));
  try {
    const sources = files.filter((file) => file.endsWith(".c")).map((file) => join(source, file));
    execFileSync("gcc", [...OPTIONS, "-c", ...sources], { cwd: objects });
    mkdirSync(here("../build/test-programs"), { recursive: true });
    execFileSync("ar", ["rcs", "parts.a", ...readdirSync(objects)], { cwd: objects });
    execFileSync("cp", [join(objects, "parts.a"), `${kept}.${process.pid}`]);
    renameSync(`${kept}.${process.pid}`, kept);
  } finally {
    rmSync(objects, { recursive: true });
  }
  return kept;
};

/**
 * Its entry is `part_main`. A program that includes a file, to stand between it and a call, brings that one itself: the linker
 * then takes no other. To be called in `beforeAll`, with patience.
 */
export const compilePart = (name: string, target: string): void => {
  const program = here(`./programs/${name}.c`);
  execFileSync("gcc", [...OPTIONS, "-Wl,--defsym=main=part_main", "-o", target, program, archive()]);
};
