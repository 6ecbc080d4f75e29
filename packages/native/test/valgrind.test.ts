/**
 * The supervisor under valgrind's memcheck, as far as valgrind 3.19 knows the kernel: it answers clone3(2) and the mount
 * calls of Linux 5.2 with ENOSYS. So what runs is the whole life of a container that cannot be started: spec, records,
 * control socket, cgroups with their limits, log, epoll; the failed clone; the rollback and the exit record. What comes
 * after the clone runs under the address sanitizer instead (scripts/sanitized.mjs).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeSpec } from "../lib/spec.ts";
import { encodeCgroups } from "../lib/spec/cgroups.ts";
import { layout, testHost } from "./host.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const host = testHost();
const supervisor = join(host.directory, "supervisor");
const seeds = join(host.directory, "seeds");
const MEMCHECK = ["/usr/bin/valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=all"];

/* The sanitizers replace the allocator, and so does valgrind; the virtual machine would take minutes for it. */
const isNative = process.env["BERTH_NATIVE_BUILD"] === undefined && process.env["BERTH_VM"] === undefined;

describe.runIf(isNative)("under memcheck, natively", { timeout: 240_000 }, () => {
  beforeAll(() => {
    const folder = here("../src/supervisor");
    const sources = readdirSync(folder)
      .filter((name) => name.endsWith(".c"))
      .map((name) => join(folder, name));
    const include = `-I${here("../build/native")}`;
    execFileSync("gcc", ["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-g", include, "-o", supervisor, ...sources]);
    execFileSync("gcc", ["-std=gnu17", "-D_GNU_SOURCE", "-o", `${supervisor}-launch`, here("./programs/launch.c")]);
    mkdirSync(seeds);
    execFileSync(process.execPath, ["--import", "tsx", "--conditions=source", here("../fuzz/seeds.ts"), seeds]);
  }, 240_000);

  const memcheck = (args: readonly string[], input?: Buffer) => {
    const [command = "", ...more] = args;
    return spawnSync(command, more, { encoding: "utf8", input: input ?? "" });
  };

  test("good specs and damaged ones are read without a fault", () => {
    const names = readdirSync(seeds);
    expect(names.length).toBeGreaterThan(2);
    names.forEach((name, at) => {
      const good = readFileSync(join(seeds, name));
      const cut = good.subarray(0, good.length - 7);
      const { status, stderr } = memcheck([...MEMCHECK, supervisor, "--check-spec"], at === 0 ? cut : good);
      expect(status, `${name}: ${stderr}`).toBe(at === 0 ? 65 : 0);
    });
  });

  test("a start that fails at the clone is rolled back and recorded without a fault", () => {
    const state = join(host.directory, "under-valgrind");
    mkdirSync(state);
    const spec = join(host.directory, "spec");
    const encoded = encodeSpec(
      host.spec(["true"], { id: "t1" }),
      {
        log: {},
        attachLayers: false,
        policy: {},
        limitsDisk: false,
        stateDir: host.stateDir,
      },
      encodeCgroups({ parent: host.cgroupParent, hierarchies: layout.hierarchies, writes: [] }),
    );
    if (!encoded.ok) throw new Error(encoded.error.detail);
    writeFileSync(spec, encoded.value);
    const { status, stderr } = memcheck([`${supervisor}-launch`, spec, state, ...MEMCHECK, supervisor, "t1"]);
    expect(status, stderr).toBe(0);
    expect(JSON.parse(readFileSync(join(state, "exit"), "utf8"))).toMatchObject({
      cause: "start_failed",
      code: 125,
      error: { stage: "namespaces", errno: 38 },
    });
    for (const hierarchy of layout.hierarchies)
      expect(existsSync(join(hierarchy.path, host.cgroupParent, "t1"))).toBe(false);
  });

  test("and it does find what is wrong", () => {
    const program = join(host.directory, "wrong");
    const source = "#include <stdlib.h>\nint main(void) { char *p = malloc(8); return p[8] == 1; }";
    execFileSync("gcc", ["-O0", "-x", "c", "-o", program, "-"], { input: source });
    expect(memcheck([...MEMCHECK, program]).status).toBe(99);
  });
});
