/** The number of a process that has ended and was reaped may be another's: whoever acts on a number knows whose it is. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeSpec } from "../lib/spec.ts";
import { isAlive, eventually, layout, slow, testHost } from "./host.ts";
import { compilePart } from "./parts.ts";

const host = testHost();

describe.runIf(!slow)("what is left of a hook", () => {
  const program = join(host.directory, "hook-group");
  const hook = join(host.directory, "hook");
  const left = join(host.directory, "left");
  beforeAll(() => {
    compilePart("hook-group", program);
    writeFileSync(
      hook,
      `#!/bin/sh\n[ "$1" = fail ] && exit 3\nsleep 1000 >/dev/null 2>&1 & echo $! > ${left}\n[ "$1" != hang ] || wait\n`,
    );
    chmodSync(hook, 0o755);
  }, 240_000);

  test.each([
    ["ends", 1_000_000, "1 0 -\n"],
    ["hang", 300, "2 0 "],
    ["fail", 1_000_000, "1 0 "],
  ])("that %s is killed by the number of its group while that is nobody else's", async (how, timeout, said) => {
    const hooks = { createRuntime: [{ command: [hook, how], timeoutMs: Math.min(timeout, 600_000) }] };
    const encoded = encodeSpec(host.spec(["true"], { hooks }), {
      cgroupParent: host.cgroupParent,
      hierarchies: layout.hierarchies,
      cgroupWrites: [],
      log: {},
      attachLayers: false,
      policy: { hooks: [hook] },
      limitsDisk: false,
      stateDir: host.stateDir,
    });
    if (!encoded.ok) throw new Error(encoded.error.detail);
    writeFileSync(join(host.directory, "spec"), encoded.value);
    expect(execFileSync(program, [join(host.directory, "spec")], { encoding: "utf8" })).toContain(said);
    if (how !== "fail") await eventually(() => !isAlive(Number(readFileSync(left, "utf8"))));
  });
});

const program = join(host.directory, "stale-number");
beforeAll(() => {
  if (!slow) compilePart("stale-number", program);
}, 240_000);
const unified = layout.hierarchies.find(({ version }) => version === 2)?.path;

/** What is split has programs with limits of their own, and a v2 hierarchy. */
test.runIf(unified !== undefined && !slow)(
  "a process that has the number of one that was to be moved into a leaf stays where it is",
  async () => {
    const parent = join(unified ?? "", host.cgroupParent);
    const [own, other] = [join(parent, "split"), join(parent, "stranger")];
    const children = [own, other].map((path) => {
      mkdirSync(path, { recursive: true });
      const child = spawn("sleep", ["1000"], { stdio: "ignore" });
      writeFileSync(join(path, "cgroup.procs"), `${child.pid}`);
      return child;
    });
    try {
      const placeOf = (pid?: number): string =>
        /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
      const [ours, stranger] = children;
      expect(execFileSync(program, [own, "2000000", `${stranger?.pid}`], { encoding: "utf8" })).toBe("");
      expect(placeOf(ours?.pid)).toBe(`/${host.cgroupParent}/split/berth-main`);
      expect(placeOf(stranger?.pid)).toBe(`/${host.cgroupParent}/stranger`);
      /* Nobody but the host's root has a file of these afterwards. */
      for (const path of [own, join(own, "berth-main")]) expect(statSync(join(path, "cgroup.procs")).uid, path).toBe(0);
    } finally {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map((child) => new Promise((resolve) => child.once("exit", resolve))));
      for (const path of [other, own])
        for (const below of [...readdirSync(path, { withFileTypes: true })].filter((entry) => entry.isDirectory()))
          rmdirSync(join(path, below.name));
      for (const path of [other, own]) rmdirSync(path);
    }
  },
);
