/**
 * The README and the tutorial, followed word by word: every `npx berth` line of their shell blocks is run, in order, and
 * every YAML block becomes the file that the text speaks of. A part without a `kind` is added to the file before it.
 */
import { execFile } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Cluster, ROOT } from "./support/index.ts";

const cluster = new Cluster();
const directory = mkdtempSync("/tmp/berth-e2e-docs-");
beforeAll(async () => {
  await (await cluster.up("--host-path", "/usr/share:ro")).ready();
});
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

type Step =
  | { readonly kind: "write" | "append"; readonly text: string }
  | { readonly kind: "run"; readonly line: string };

const stepsOf = (page: string, from = ""): Step[] => {
  const text = readFileSync(join(ROOT, page), "utf8");
  const section = text.slice(from === "" ? 0 : text.indexOf(`## ${from}\n`));
  const end = from === "" ? -1 : section.indexOf("\n## ", 1);
  return [...(end < 0 ? section : section.slice(0, end)).matchAll(/^```(yaml|sh)\n([\s\S]*?)^```/gm)].flatMap(
    ([, language, body = ""]): Step[] =>
      language === "yaml"
        ? [{ kind: /^kind:/m.test(body) ? "write" : "append", text: body }]
        : body
            .split("\n")
            .filter((line) => line.startsWith("npx berth "))
            .map((line) => ({ kind: "run", line })),
  );
};

/** Runs a line in a shell as a reader would, in a directory where `examples` and the reader's own files are. */
const shell = (line: string): Promise<{ readonly code: number; readonly said: string }> => {
  const berth = `'${process.execPath}' '${join(ROOT, "packages/cli/bin/berth.mjs")}'`;
  const command = line
    .replaceAll("npx berth", berth)
    .replaceAll(" examples/", ` ${ROOT}examples/`)
    .replaceAll("/tmp/checksums", join(directory, "checksums"));
  const env = { PATH: process.env["PATH"] ?? "", HOME: "/root", BERTH_DATA_DIR: cluster.dataDir };
  return new Promise((resolve) => {
    execFile(
      "sh",
      ["-c", command],
      { cwd: directory, env, timeout: 150_000, maxBuffer: 2 ** 26 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ code, said: stdout + stderr });
      },
    );
  });
};

const follow = async (step: Step): Promise<void> => {
  const file = join(directory, "count.yaml");
  if (step.kind !== "run") {
    if (step.kind === "write") writeFileSync(file, step.text);
    else appendFileSync(file, step.text);
    return;
  }
  const done = await shell(step.line);
  // `plan` says with 2 that something would wait, which the tutorial provokes.
  const fine = step.line.includes("berth plan") ? [0, 2] : [0];
  expect({ line: step.line, fine: fine.includes(done.code), ...done }).toMatchObject({ fine: true });
};

describe("the README's quickstart", () => {
  const steps = stepsOf("README.md", "Quickstart").filter(
    (step) => step.kind !== "run" || !step.line.endsWith("berth down"),
  );
  test("has the commands that a new user needs", () => expect(steps.length).toBeGreaterThanOrEqual(7));
  test.each(steps.map((step) => [step.kind === "run" ? step.line : step.kind, step] as const))("%s", (_name, step) =>
    follow(step),
  );
});

describe("the tutorial", () => {
  const steps = stepsOf("docs/tutorial/first-job.md");
  test("has two documents and a change", () => {
    expect(steps.map((step) => step.kind).filter((kind) => kind !== "run")).toEqual(["write", "append", "write"]);
  });
  test.each(steps.map((step) => [step.kind === "run" ? step.line : step.kind, step] as const))("%s", (_name, step) =>
    follow(step),
  );
});
