/** What only cgroup v2 has, measured on the kernel itself: a table in the output, and that each of them works. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { layout, testHost } from "./host.ts";

const host = testHost();

describe.runIf(layout.kind === "v2")("on hosts with nothing but cgroup v2", () => {
  test("clone into a cgroup, kill by cgroup, memory.high and pressure triggers work", () => {
    const program = join(host.directory, "v2-features");
    const source = fileURLToPath(new URL("./programs/v2-features.c", import.meta.url));
    execFileSync("gcc", ["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, source]);
    const parent = join(layout.hierarchies[0]?.path ?? "", `berth-features-${process.pid}`);
    mkdirSync(parent);
    try {
      writeFileSync(join(parent, "cgroup.subtree_control"), "+memory");
      const rows = execFileSync(program, [parent], { encoding: "utf8" })
        .trim()
        .split("\n")
        .map((line) => line.split("\t"));
      for (const [name = "", value = "", unit = "", meaning = ""] of rows)
        process.stdout.write(`  v2 ${name.padEnd(18)}${value.padStart(8)} ${unit.padEnd(7)} ${meaning}\n`);
      expect(rows.map(([name]) => name)).toEqual(["CLONE_INTO_CGROUP", "cgroup.kill", "memory.high", "PSI trigger"]);
      expect(Number(rows[2]?.[1])).toBeGreaterThan(0);
      expect(rows[2]?.[3]).toContain("0 OOM kills");
      expect(rows[3]?.[3]).not.toContain("NEVER");
    } finally {
      rmdirSync(parent);
    }
  });
});
