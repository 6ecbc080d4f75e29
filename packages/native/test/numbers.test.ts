/** The number of a process that has ended and was reaped may be another's: whoever acts on a number knows whose it is. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { ContainerCgroup } from "../lib/cgroup.ts";
import { encodeSpec } from "../lib/spec.ts";
import { encodeCgroups } from "../lib/spec/cgroups.ts";
import { agentScript } from "./built-agent.ts";
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

  const specOf = (how: string, timeoutMs: number): string => {
    const hooks = { createRuntime: [{ command: [hook, how], timeoutMs }] };
    const encoded = encodeSpec(
      host.spec(["true"], { hooks }),
      {
        log: {},
        attachLayers: false,
        policy: { hooks: [hook] },
        limitsDisk: false,
        stateDir: host.stateDir,
      },
      encodeCgroups({ parent: host.cgroupParent, hierarchies: layout.hierarchies, writes: [] }),
    );
    if (!encoded.ok) throw new Error(encoded.error.detail);
    writeFileSync(join(host.directory, "spec"), encoded.value);
    return join(host.directory, "spec");
  };

  test.each([
    ["ends", 600_000, "1 0 -\n"],
    ["hang", 300, "2 0 "],
    ["fail", 600_000, "1 0 "],
  ])("that %s is killed by the number of its group while that is nobody else's", async (how, timeout, said) => {
    expect(execFileSync(program, [specOf(how, timeout)], { encoding: "utf8" })).toContain(said);
    if (how !== "fail") await eventually(() => !isAlive(Number(readFileSync(left, "utf8"))));
  });

  test("is no descriptor, at whichever call there was none for the next", () => {
    const said = execFileSync(program, [specOf("fail", 600_000), "10"], { encoding: "utf8" })
      .trim()
      .split("\n");
    expect(said).toHaveLength(11);
    for (const one of said) expect(one).toMatch(/^0 (?:Success|Too many open files)$/);
    expect([said[0], said.at(-1)]).toEqual(["0 Success", "0 Too many open files"]);
  });
});

describe("what is killed in a cgroup by the numbers that are listed there", () => {
  /** SIGKILL would have come first. */
  const spared = async (stranger: ChildProcess): Promise<boolean> => {
    const ended = new Promise((resolve) => stranger.once("exit", (_, signal) => resolve(signal)));
    stranger.kill("SIGTERM");
    return (await ended) === "SIGTERM";
  };

  /* A plain directory stands for the hierarchy. */
  test.each([1, 2] as const)("is not whoever has one of them and lives elsewhere, on v%i", async (version) => {
    const kind = version === 1 ? "v1" : "v2";
    const root = join(host.directory, kind);
    const hierarchies = [{ path: root, version, controllers: ["freezer"] as const }];
    const cgroup = new ContainerCgroup({ kind, hierarchies, onDemand: [], missing: [] }, "parent", "id");
    const path = cgroup.pathIn(root);
    const stranger = spawn("sleep", ["1000"], { stdio: "ignore" });
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "cgroup.procs"), `${stranger.pid}\n`);
    expect(await cgroup.kill(0)).toBe(false);
    expect(await cgroup.kill(20)).toBe(false);
    expect(await spared(stranger)).toBe(true);
    const [file, told] =
      version === 1 ? (["freezer.state", /^(THAWED)+$/] as const) : (["cgroup.kill", /^1+$/] as const);
    expect(readFileSync(join(path, file), "utf8")).toMatch(told);
  });

  test.skipIf(!existsSync("/proc/sys/kernel/ns_last_pid"))(
    "nor whoever gets one of them after it was looked whose it is",
    () => {
      const hierarchy = layout.hierarchies[0]?.path ?? "";
      const path = join(hierarchy, host.cgroupParent, "taken");
      mkdirSync(path, { recursive: true });
      try {
        const job = JSON.stringify({ hierarchy, parent: host.cgroupParent });
        const agent = [process.execPath, agentScript("number-taken.mjs"), job];
        const alone = ["--pid", "--fork", "--kill-child", "--mount-proc"];
        expect(execFileSync("unshare", [...alone, ...agent], { encoding: "utf8" })).toBe("SIGTERM");
      } finally {
        rmdirSync(path);
      }
    },
  );
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
