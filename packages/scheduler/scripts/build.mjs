// Compiles kernel/score.ts, with kernel/levels.ts, to src/core/score-kernel.gen.ts, code that the core takes in as it takes in any other. With --text
// what became of it is written to stdout, to be read.
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { main } from "assemblyscript/asc";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..");
const isTextWanted = process.argv.includes("--text");
const written = new Map();

const { error } = await main(
  [
    "kernel/score.ts",
    ...["--baseDir", folder, "--outFile", "score.wasm"],
    // It allocates nothing by itself, and takes its addresses from score-kernel.ts.
    ...["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd", "--initialMemory", "1"],
    ...(isTextWanted ? ["--textFile", "score.wat"] : []),
  ],
  { stderr: process.stderr, writeFile: (name, contents) => void written.set(name, contents) },
);
if (error !== null) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
const code = Buffer.from(written.get("score.wasm")).toString("base64");
writeFileSync(
  join(folder, "src/core/score-kernel.gen.ts"),
  `/** kernel/score.ts, compiled by scripts/build.mjs. */\nexport const KERNEL_CODE = "${code}";\n`,
);
if (isTextWanted) process.stdout.write(written.get("score.wat"));
