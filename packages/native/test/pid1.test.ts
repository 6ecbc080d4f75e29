/** `init: false`: the program itself is PID 1. */
import { execFileSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually, isAlive, outputOf, slow, statusField, supervisorOf, testHost } from "./host.ts";

const host = testHost();
const TIMES = slow ? 20 : 200;

test("it is PID 1, with the same walls around it", async () => {
  const { stdout, exit } = await host.sh(
    "echo $$; grep -E '^(Seccomp|NoNewPrivs|CapBnd):' /proc/self/status | cut -f2; ls /proc/self/fd | wc -l; exit 7",
    {
      init: false,
    },
  );
  /* ls has its directory open as well. */
  expect(stdout.split("\n")).toEqual(["1", "00000000800405fb", "1", "2", "4", ""]);
  expect(exit).toMatchObject({ code: 7, cause: "exited" });
});

test("signals reach it when it has a handler, and stop kills it when not", async () => {
  const polite = await host.start(
    ["sh", "-c", "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.02; done"],
    { init: false },
  );
  await eventually(async () => (await outputOf(polite)).includes("ready"));
  expect(await polite.stop({ graceMs: 20_000 })).toMatchObject({ code: 3, cause: "exited" });
  expect(await outputOf(polite)).toBe("ready\nterm\n");
  await polite.remove();
  const deaf = await host.start(["sleep", "1000"], { init: false });
  expect(
    statusField(deaf.pid ?? 0, "NSpid")
      .split("\t")
      .at(-1),
  ).toBe("1");
  expect(await deaf.stop({ graceMs: 50 })).toMatchObject({ signal: 9, cause: "signalled" });
  await deaf.remove();
});

test("what cannot be executed is 127 and 126, as ever", async () => {
  expect(await host.runtime.start(host.spec(["no-such-program"], { init: false }))).toMatchObject({
    ok: false,
    error: { stage: "exec", code: "ENOENT" },
    exit: { code: 127 },
  });
  expect(await host.runtime.start(host.spec(["/etc/passwd"], { init: false }))).toMatchObject({
    ok: false,
    error: { stage: "exec", code: "EACCES" },
    exit: { code: 126 },
  });
});

test(`a program that ends at once is told from one that could not start, ${TIMES} times`, async () => {
  for (let i = 0; i < TIMES; i += 1) {
    const container = await host.start(["sh", "-c", "exit 5"], { init: false, user: i % 2 === 0 ? "nobody" : "root" });
    expect(await container.exited).toMatchObject({ code: 5, cause: "exited", error: null });
    await container.remove();
  }
});

test("it dies with its supervisor, also when it is not root", async () => {
  const container = await host.start(["sleep", "1000"], { init: false, user: "nobody" });
  const pid = container.pid ?? 0;
  const supervisor = Number(statusField(pid, "PPid"));
  expect(readlinkSync(`/proc/${supervisor}/exe`)).toContain("berth-supervisor");
  expect(supervisorOf(pid)).toBe(process.pid);
  execFileSync("kill", ["-9", String(supervisor)]);
  expect(await container.exited).toMatchObject({ cause: "supervisor_lost" });
  await eventually(() => !isAlive(pid));
  await container.remove();
});

test("the init of a machine ends when it halts, and by a signal when it wants to begin anew unasked", async () => {
  const machine = { init: false, machine: true, terminal: { rows: 24, columns: 80 } } as const;
  const end = async (command: string) => {
    const container = await host.start(["sh", "-c", command], machine);
    const exit = await container.exited;
    await container.remove();
    return exit;
  };
  expect(await end("exec busybox poweroff -f")).toMatchObject({ code: 0, cause: "exited" });
  expect(await end("exec busybox halt -f")).toMatchObject({ code: 0, cause: "exited" });
  expect(await end("exec busybox reboot -f")).toMatchObject({ signal: 1, cause: "signalled" });
  /* That of System V knows no other way down when it is told by a signal. */
  const stubborn = await host.start(
    ["sh", "-c", "trap 'exec busybox reboot -f' TERM; echo ready; while :; do sleep 0.02; done"],
    machine,
  );
  await eventually(async () => (await outputOf(stubborn)).includes("ready"));
  expect(await stubborn.stop({ graceMs: 20_000 })).toMatchObject({ code: 0, cause: "exited" });
  await stubborn.remove();
});
