/** Hooks: programs of the host that the policy names, at points of a container's life. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRuntime, type ContainerSpec, type Runtime } from "../lib/index.ts";
import { eventually, isAlive, testHost } from "./host.ts";

const host = testHost();
const hook = join(host.directory, "hook");
const out = (name: string): string => join(host.directory, name);
const read = (name: string): string => readFileSync(out(name), "utf8");
let runtime: Runtime;

beforeAll(async () => {
  writeFileSync(
    hook,
    `#!/bin/sh
case $1 in
  keep) cat > "$2.tmp"; ls /proc/self/fd | wc -l >> "$2.tmp"; echo "$KEY" >> "$2.tmp"; mv "$2.tmp" "$2";;
  fail) echo "no such address" >&2; exit 3;;
  hang) sleep 1000 & echo $! > "$2"; sleep 1000;;
  net) pid=$(sed 's/.*"initPid":\\([0-9]*\\).*/\\1/'); nsenter -t "$pid" -n ip link show lo | grep -c UP > "$2"; nsenter -t "$pid" -m ls / > "$2.root";;
esac
`,
  );
  chmodSync(hook, 0o755);
  runtime = await openRuntime({
    stateDir: join(host.directory, "hooked"),
    cgroupParent: host.cgroupParent,
    allow: { hooks: [hook, "/no/such/hook"] },
  });
});
afterAll(() => runtime.close());

const start = async (
  hooks: NonNullable<ContainerSpec["hooks"]>,
  command: readonly string[] = ["sh", "-c", "exit 4"],
  more: Partial<ContainerSpec> = {},
) => await runtime.start(host.spec(command, { hooks, ...more }));

test("each runs once, at its time, with the status on stdin and nothing but its own environment", async () => {
  const result = await start(
    {
      createRuntime: [{ command: [hook, "keep", out("created")], env: { KEY: "value" } }],
      started: [{ command: [hook, "keep", out("started")] }],
      stopped: [{ command: [hook, "keep", out("stopped")] }],
    },
    ["sleep", "1000"],
  );
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  await eventually(() => existsSync(out("started")));
  expect(JSON.parse(read("created").split("\n")[0] ?? "")).toMatchObject({ state: "starting", pid: null });
  /* stdin, stdout, stderr and the directory of ls. */
  expect(read("created").split("\n").slice(1, 3)).toEqual(["4", "value"]);
  expect(JSON.parse(read("started").split("\n")[0] ?? "")).toMatchObject({ state: "running", pid: result.value.pid });
  expect(existsSync(out("stopped"))).toBe(false);
  await result.value.stop({ signal: 15, graceMs: 10_000 });
  expect(JSON.parse(read("stopped").split("\n")[0] ?? "")).toMatchObject({ cause: "signalled", signal: 15 });
  await result.value.remove();
});

test("createRuntime sees the namespaces and the root, before the program", async () => {
  const result = await start({
    createRuntime: [{ command: [hook, "net", out("net")], env: { PATH: process.env["PATH"] ?? "" } }],
  });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  expect(await result.value.exited).toMatchObject({ code: 4 });
  expect(read("net")).toBe("1\n");
  await result.value.remove();
});

test("one that fails before the program fails the start, in its own words, and the rest does not run", async () => {
  const result = await start({
    createRuntime: [{ command: [hook, "fail"] }, { command: [hook, "keep", out("second")] }],
    started: [{ command: [hook, "keep", out("never")] }],
  });
  expect(result).toMatchObject({
    ok: false,
    error: { stage: "hook", errno: 0, detail: `${hook} ended with 3: no such address` },
    exit: { code: 125, cause: "start_failed" },
  });
  expect([existsSync(out("second")), existsSync(out("never"))]).toEqual([false, false]);
  expect(await runtime.adopt()).toEqual([]);
});

test("one that cannot be executed, and one that hangs, end the start with a reason; nothing of them stays", async () => {
  expect(await start({ createRuntime: [{ command: ["/no/such/hook"] }] })).toMatchObject({
    ok: false,
    error: { stage: "hook", detail: "/no/such/hook ended with 127: No such file or directory" },
  });
  expect(await start({ createRuntime: [{ command: [hook, "hang", out("hung")], timeoutMs: 300 }] })).toMatchObject({
    ok: false,
    error: { stage: "hook", code: "ETIMEDOUT" },
  });
  await eventually(() => !isAlive(Number(read("hung"))));
});

test("failures after the start change nothing", async () => {
  const result = await start({
    started: [{ command: [hook, "fail"] }],
    stopped: [{ command: [hook, "hang", out("hung-at-end")], timeoutMs: 300 }],
  });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  expect(await result.value.exited).toMatchObject({ code: 4, cause: "exited" });
  await result.value.remove();
  await eventually(() => !isAlive(Number(read("hung-at-end"))));
});

test("a stop while a hook still runs ends both", async () => {
  const starting = start({ createRuntime: [{ command: [hook, "hang", out("slow")], timeoutMs: 600_000 }] }, ["true"], {
    id: "slow-hook",
  });
  await eventually(() => existsSync(out("slow")) && read("slow") !== "");
  const [found] = await runtime.adopt();
  if (found?.kind !== "running") throw new Error(JSON.stringify(found));
  await found.container.stop({ signal: 15, graceMs: 0 });
  expect(await starting).toMatchObject({ ok: false });
  await eventually(() => !isAlive(Number(read("slow"))));
});

test("only programs of the policy, by absolute path", async () => {
  for (const command of [["/bin/true"], ["hook"], []])
    expect(await start({ createRuntime: [{ command }] })).toMatchObject({
      ok: false,
      error: { stage: "spec", detail: expect.stringMatching(/^hooks.createRuntime\[0\]/) as string },
    });
  expect(await host.runtime.start(host.spec(["true"], { hooks: { started: [{ command: [hook] }] } }))).toMatchObject({
    ok: false,
    error: { stage: "spec" },
  });
});
