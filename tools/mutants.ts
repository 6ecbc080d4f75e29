/**
 * `pnpm mutants [RULE or part of a name …]`: takes each protection away in turn, in a copy of the checkout, and runs the
 * test that must notice. Slow (a build and some containers each), so it is no part of a check run. Needs what the
 * integration tests need. Prints a line per mutant, exits 1 when one survived; touches nothing in this checkout.
 */
import { spawnSync } from "node:child_process";
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mutants, testPathOf, type Edit, type Mutant } from "./mutants/mutants.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Passes whatever is taken away: what a container needs to start at all is no protection. */
const ALIVE = { file: "security/alive.test.ts", test: "a container starts, says something and ends" };
const PATIENCE_MS = 240_000;

/** A copy of what git knows, with the installed packages and what is built already. */
const copyTree = (): string => {
  const tree = join(mkdtempSync(join(tmpdir(), "berth-mutants-")), "tree");
  const list = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const path of list.stdout.split("\0").filter((name) => name !== "" && existsSync(join(root, name)))) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    cpSync(join(root, path), join(tree, path));
  }
  const packages = readdirSync(join(root, "packages")).map((name) => `packages/${name}`);
  for (const path of ["", ...packages].map((name) => join(name, "node_modules")))
    if (existsSync(join(root, path))) symlinkSync(join(root, path), join(tree, path));
  for (const path of ["packages/native/build", "packages/native/src/addon/build"])
    if (existsSync(join(root, path))) cpSync(join(root, path), join(tree, path), { recursive: true });
  /* The score kernel, as the last build made it. */
  const made = ["ls-files", "-z", "--others", "--ignored", "--exclude=*.gen.ts", "packages"];
  const { stdout } = spawnSync("git", made, { cwd: root, encoding: "utf8" });
  for (const path of stdout.split("\0").filter((name) => name.endsWith(".gen.ts") && !name.includes("node_modules")))
    cpSync(join(root, path), join(tree, path));
  return tree;
};

const build = (tree: string): string | undefined => {
  const done = spawnSync(process.execPath, ["packages/native/scripts/build.mjs"], { cwd: tree, encoding: "utf8" });
  return done.status === 0 ? undefined : `${done.stdout}${done.stderr}`.slice(0, 800);
};

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly message: string;
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

type Wanted = Pick<Mutant, "file" | "test" | "ring">;

const NOTHING: Outcome = { passed: 0, failed: 0, message: "no result" };

const ringOf = ({ ring }: Wanted): string => ring ?? "native";

/** One run of vitest per ring, since most of a run is its beginning, and rings with other numbers of workers share none. */
const run = (tree: string, wanted: readonly Wanted[]): readonly Outcome[] => {
  const outcomes = new Map<Wanted, Outcome>();
  for (const ring of new Set(wanted.map(ringOf))) {
    const here = wanted.filter((one) => ringOf(one) === ring);
    for (const [at, outcome] of runRing(tree, ring, here).entries()) outcomes.set(here[at] as Wanted, outcome);
  }
  return wanted.map((one) => outcomes.get(one) ?? NOTHING);
};

/** Tests of a table count one by one. */
const runRing = (tree: string, ring: string, wanted: readonly Wanted[]): readonly Outcome[] => {
  const output = join(tree, "mutant-result.json");
  rmSync(output, { force: true });
  const files = [...new Set(wanted.map(testPathOf))];
  const names = [...new Set(wanted.map(({ test }) => escape(test)))].join("|");
  const args = ["node_modules/vitest/vitest.mjs", "run", "--project", ring, ...files];
  const options = ["-t", names, "--reporter=json", `--outputFile=${output}`, "--testTimeout=30000"];
  const done = spawnSync(process.execPath, [...args, ...options], {
    cwd: tree,
    encoding: "utf8",
    timeout: PATIENCE_MS * files.length,
  });
  if (!existsSync(output))
    return wanted.map(() => ({ passed: 0, failed: 0, message: `${done.stdout}${done.stderr}`.slice(-800) }));
  const report = JSON.parse(readFileSync(output, "utf8")) as Report;
  const said = report.testResults.length > 0 ? "" : `${done.stdout}${done.stderr}`.slice(-800);
  return wanted.map((one) => {
    const { test } = one;
    const all = report.testResults
      .filter(({ name }) => name.endsWith(testPathOf(one)))
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ fullName, status }) => fullName.includes(test) && (status === "passed" || status === "failed"));
    const failed = all.filter(({ status }) => status === "failed");
    const message = failed[0]?.failureMessages[0]?.split("\n")[0]?.slice(0, 160) ?? said;
    return { passed: all.length - failed.length, failed: failed.length, message };
  });
};

/** Applies the edits; what it returns takes them back. */
const change = (tree: string, edits: readonly Edit[]): (() => void) => {
  const before = new Map(edits.map(({ file }) => [file, readFileSync(join(tree, file), "utf8")]));
  for (const { file, find, replace } of edits) {
    const path = join(tree, file);
    const parts = readFileSync(path, "utf8").split(find);
    if (parts.length !== 2) throw new Error(`${file} holds ${JSON.stringify(find)} ${parts.length - 1} times`);
    writeFileSync(path, parts.join(replace));
  }
  return () => {
    for (const [file, text] of before) writeFileSync(join(tree, file), text);
  };
};

/** A sentence on how it went, and whether the mutant was noticed. */
const judge = (tree: string, mutant: Mutant): { readonly noticed: boolean; readonly text: string } => {
  const restore = change(tree, mutant.edits);
  try {
    const native = mutant.ring === undefined;
    const broken = native ? build(tree) : undefined;
    if (broken !== undefined) return { noticed: false, text: `cannot be built: ${broken}` };
    const [own = NOTHING, alive = NOTHING] = run(tree, native ? [mutant, ALIVE] : [mutant]);
    const { passed, failed, message } = own;
    if (failed > 0) {
      if (native && alive.passed === 0) return { noticed: false, text: `nothing starts any more: ${alive.message}` };
      return { noticed: true, text: message };
    }
    return { noticed: false, text: passed > 0 ? "SURVIVED" : `no test ran: ${message}` };
  } finally {
    restore();
    /* One of them gives away the host's, and not every test that runs with it puts that right. */
    chownSync("/dev/null", 0, 0);
  }
};

const wanted = process.argv.slice(2);
const chosen = mutants.filter(
  ({ rule, without }) => wanted.length === 0 || wanted.some((word) => word === String(rule) || without.includes(word)),
);
const tree = copyTree();
let bad = 0;
let noticedOnes = 0;
const say = (text: string) => process.stdout.write(`${text}\n`);
try {
  const broken = build(tree);
  if (broken !== undefined) throw new Error(broken);
  const tests = [...new Map([...chosen, ALIVE].map((one) => [`${one.file} ${one.test}`, one])).values()];
  const outcomes = run(tree, tests);
  for (const [at, one] of tests.entries()) {
    const { passed, failed, message } = outcomes[at] ?? NOTHING;
    if (passed > 0 && failed === 0) continue;
    bad += 1;
    say(`${one.file} "${one.test}" must pass first: ${failed} failed, ${passed} passed ${message}`);
  }
  for (const mutant of bad > 0 ? [] : chosen) {
    const { noticed, text } = judge(tree, mutant);
    if (noticed) noticedOnes += 1;
    else bad += 1;
    say(`${noticed ? "noticed" : "MISSED "} rule ${mutant.rule}, without ${mutant.without}: ${text}`);
  }
} finally {
  rmSync(dirname(tree), { recursive: true, force: true });
}
say(`${noticedOnes} of ${chosen.length} mutants noticed`);
process.exitCode = bad === 0 ? 0 : 1;
