/** Secrets of a container: files in memory that only its program's user can read. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { outputOf, sanitized, supervisorOf, testHost } from "./host.ts";

const host = testHost();
const target = "/run/secrets";
const bytes = (text: string): Uint8Array => Buffer.from(text);
const look = `cd ${target}; stat -c '%n %a %u %g' *; cat one; echo; wc -c < two; echo x > one; grep ' ${target} ' /proc/mounts`;

test("are there for the user of the program, and nobody can change them", async () => {
  const values = { one: bytes("first value"), two: new Uint8Array(65_536) };
  const { stdout, stderr } = await host.sh(look, { user: "1000:7", secrets: { target, files: values } });
  const lines = stdout.trim().split("\n");
  expect(lines.slice(0, 4)).toEqual(["one 400 1000 7", "two 400 1000 7", "first value", "65536"]);
  expect(lines[4]).toMatch(/^\S+ \/run\/secrets tmpfs ro,nosuid,nodev,noexec/);
  expect(stderr).toMatch(/can't create one: (Permission denied|Read-only file system)/);
});

test("are there below a root and a file system that cannot be written, and mean nothing to others", async () => {
  const secrets = { target, files: { one: bytes("v") } };
  const mounts = [{ kind: "tmpfs", target: "/run" }] as const;
  const { stdout } = await host.sh(`cat ${target}/one; (echo x > /x) 2>&1`, { readOnlyRoot: true, mounts, secrets });
  expect(stdout).toMatch(/^v.*Read-only/s);
  const other = await host.sh(`cat ${target}/one`, { user: "1000", capabilities: { drop: ["all"] }, secrets });
  expect(other.stdout).toBe("v");
});

test("are on no file system of the host, while the container runs", async () => {
  const value = `needle-${Math.random()}`;
  const container = await host.start(["sh", "-c", `wc -c ${target}/one; sleep 60`], {
    secrets: { target, files: { one: bytes(value) } },
  });
  try {
    /* A FIFO would be waited for. */
    const grep = ["-rlF", "-D", "skip", value, host.directory];
    const { status, stdout, stderr } = spawnSync("grep", grep, { encoding: "utf8" });
    /* 1: it is nowhere; 2: not all could be looked at. */
    expect([status, stdout, stderr]).toEqual([1, "", ""]);
  } finally {
    await container.stop({ graceMs: 0 });
  }
  expect(await outputOf(container)).toContain(String(value.length));
  await container.remove();
});

test("that the supervisor holds are in no core dump of it and not swapped out", async () => {
  const container = await host.start(["sleep", "60"], { secrets: { target, files: { one: bytes("v") } } });
  try {
    const maps = readFileSync(`/proc/${supervisorOf(container.pid ?? 0)}/smaps`, "utf8");
    const flags = /memfd:berth-spec[^]*?^VmFlags: (.*)$/m.exec(maps)?.[1]?.split(" ");
    /* What looks for faults in memory lets nobody lock any. */
    expect(flags).toEqual(expect.arrayContaining(sanitized ? ["dd"] : ["dd", "lo"]));
  } finally {
    await container.stop({ graceMs: 0 });
    await container.remove();
  }
});

test.each([
  ["a directory of the kernel", { target: "/proc/secrets", files: {} }, "is reserved"],
  ["a relative target", { target: "run", files: {} }, "is not an absolute path"],
  ["a name that leads away", { target, files: { "../up": bytes("") } }, "is not the name of a file"],
  ["a hidden name", { target, files: { ".hidden": bytes("") } }, "is not the name of a file"],
  ["a large value", { target, files: { large: new Uint8Array(65_537) } }, "at most 65536"],
  ["a value that is text", { target, files: { text: "secret words" as never } }, "is not a Uint8Array"],
  [
    "many",
    { target, files: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`f${at}`, bytes("")])) },
    "at most 64",
  ],
])("%s is refused", async (_what, secrets, sentence) => {
  const result = await host.runtime.start(host.spec(["true"], { secrets }));
  expect(result.ok ? "" : result.error.detail).toContain(sentence);
  expect(JSON.stringify(result)).not.toContain("secret words");
});
