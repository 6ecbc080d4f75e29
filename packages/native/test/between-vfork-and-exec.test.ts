/**
 * Between vfork and exec the child shares the memory of a process with many threads: a lock that one of them holds will
 * never be released for it. So it may call what signal-safety(7) lists and bare system calls, and nothing else.
 *
 * Two methods. The calls are read from the machine code: everything that can be reached from the child's function. And
 * while sixteen threads allocate, a preloaded library watches that no start allocates or prints in the child.
 */
import { execFile, execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { agentScript } from "./built-agent.ts";
import { sanitized, slow, testHost } from "./host.ts";

const emulated = process.env["BERTH_VM"] !== undefined;
const STARTS = slow ? 20 : 60;
/** On two processors its threads have hardly any time beside what else is tested. Ends before the test: nothing goes on after it. */
const PATIENCE_MS = slow ? 200_000 : 150_000;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const host = testHost();
const { directory } = host;

/** signal-safety(7). */
const SAFE = new Set(
  (
    "_exit close dup2 dup3 execve fcntl getpid ioctl kill open openat read send setsid sigaction sigaddset sigdelset " +
    "sigemptyset sigfillset sigprocmask umask write memchr memcmp memcpy memmove memset strchr strlen strncmp strnlen"
  ).split(" "),
);
/** Not in that list, and each is nothing but its system call or an address of this thread. */
const BARE = new Set(
  "syscall prctl prlimit prlimit64 setrlimit capset __errno_location __stack_chk_fail __memcpy_chk __memset_chk".split(
    " ",
  ),
);

/** Function → what it calls or jumps to; `*` for a pointer. Symbols of a library carry `@plt`. */
const callGraph = (binary: string): Map<string, Set<string>> => {
  const text = execFileSync("objdump", ["-d", "--no-show-raw-insn", binary], { encoding: "utf8", maxBuffer: 1 << 28 });
  const graph = new Map<string, Set<string>>();
  let calls = new Set<string>();
  for (const line of text.split("\n")) {
    const start = /^[0-9a-f]+ <(.+)>:$/.exec(line)?.[1];
    if (start !== undefined) graph.set(start, (calls = new Set()));
    const instruction = /\t(?:bnd |notrack )*(call|j[a-z]+)\s+(.*)$/.exec(line);
    if (instruction === null) continue;
    const [, kind = "", operand = ""] = instruction;
    const target = /<([^>+]+)>/.exec(operand)?.[1];
    /* A jump by a table stays in its function; a call by a pointer can go anywhere. */
    if (operand.startsWith("*")) {
      if (kind === "call") calls.add("*");
    } else if (target !== undefined && target !== start) calls.add(target);
  }
  return graph;
};

/** Everything outside that can be reached from `from`, each with the way there. */
const reached = (graph: Map<string, Set<string>>, from: string): Map<string, string> => {
  const outside = new Map<string, string>();
  const seen = new Set([from]);
  const queue = [from];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    for (const call of graph.get(name) ?? []) {
      if (call === "*" || call.includes("@")) outside.set(call.replace(/@.*$/, ""), `${name} → ${call}`);
      else if (!seen.has(call)) {
        seen.add(call);
        queue.push(call);
      }
    }
  }
  return outside;
};

const unsafe = (outside: Map<string, string>): string[] =>
  [...outside].filter(([name]) => !SAFE.has(name) && !BARE.has(name)).map(([, way]) => way);

const entry = (graph: Map<string, Set<string>>, pattern: RegExp): string => {
  const found = [...graph.keys()].filter((name) => pattern.test(name));
  expect(found.length, `functions like ${pattern}`).toBe(1);
  return found[0]!;
};

describe("what can be called", () => {
  test("in the child of the addon", () => {
    const graph = callGraph(here("../build/native/berth_native.node"));
    const outside = reached(graph, entry(graph, /child_main/));
    expect([...outside.keys()]).toContain("syscall");
    expect(unsafe(outside)).toEqual([]);
  });

  /* The compiler takes minutes under emulation, and makes the same of it there. */
  describe.skipIf(emulated)("in the child of init", () => {
    let graph = new Map<string, Set<string>>();
    beforeAll(() => {
      /* The product is static and stripped; the same source with names, and with libc at arm's length. */
      const folder = here("../src/supervisor");
      const sources = readdirSync(folder).filter((name) => name.endsWith(".c"));
      const flags = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-fstack-protector-strong"];
      const binary = join(directory, "supervisor");
      const include = [`-I${here("../build/native")}`, "-isystem", here("../build/native/kernel-headers")];
      const compiler = process.arch === "x64" ? "musl-gcc" : "gcc";
      execFileSync(compiler, [...flags, ...include, "-o", binary, ...sources.map((name) => join(folder, name))]);
      graph = callGraph(binary);
    });

    test("nothing but async-signal-safe functions and system calls", () => {
      const outside = reached(graph, entry(graph, /^child$/));
      expect([...outside.keys()]).toEqual(expect.arrayContaining(["execve", "_exit", "send"]));
      expect(unsafe(outside)).toEqual([]);
    });

    test("and the method does see a function that is not", () => {
      expect(unsafe(reached(graph, entry(graph, /^main$/))).join()).toMatch(/printf/);
    });
  });
});

/* What watches stands where a sanitizer stands, in front of malloc: both cannot. */
describe.skipIf(sanitized)("while sixteen threads allocate", () => {
  const library = join(directory, "watch.so");
  const run = (command: string, args: readonly string[]) =>
    new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
      const options = {
        env: { ...process.env, LD_PRELOAD: library },
        timeout: PATIENCE_MS,
        maxBuffer: 1 << 24,
      };
      execFile(command, args, options, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
      );
    });
  beforeAll(() => {
    agentScript();
    execFileSync("gcc", [
      ...["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"],
      ...["-o", library, here("./programs/watch-allocations.c")],
    ]);
  });

  test(
    "no start allocates in the child, and none stands still",
    async () => {
      const { cgroupParent } = host;
      const job = { stateDir: join(host.directory, "many"), cgroupParent, spec: host.spec(["true"]), count: STARTS };
      const { code, stdout, stderr } = await run(process.execPath, [here("./many-starts.mjs"), JSON.stringify(job)]);
      expect(stderr).toBe("");
      expect(stdout).toBe(`watched, ${STARTS} of ${STARTS}\n`);
      expect(code).toBe(0);
    },
    PATIENCE_MS + 40_000,
  );

  test("and a child that does allocate is seen", async () => {
    const program = join(directory, "allocates");
    const source = `#include <stdlib.h>
      #include <unistd.h>
      int main(void) { if (vfork() == 0) { void *volatile p = malloc(1); (void)p; _exit(0); } return 0; }`;
    execFileSync("gcc", ["-O0", "-fno-builtin", "-D_GNU_SOURCE", "-x", "c", "-o", program, "-"], { input: source });
    expect((await run(program, [])).stderr).toContain("malloc between vfork and exec");
  });
});
