/** A supervisor is one thread of a static program, and what it does for a running container takes no memory that it keeps. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { supervisorPath } from "../lib/binding.ts";
import type { Container } from "../lib/index.ts";
import { eventually, outputOf, sanitized, slow, statusField, supervisorOf, testHost } from "./host.ts";

const host = testHost();
const ROUNDS = slow ? 8 : 40;
/** Of output in a round: more than any buffer of it holds. */
const BYTES = 512 * 1024;

/** The type of a program header that names a dynamic loader (PT_INTERP). */
const INTERPRETER = 3;

const hasInterpreter = (path: string): boolean => {
  const file = readFileSync(path);
  const [table, size, count] = [Number(file.readBigUInt64LE(32)), file.readUInt16LE(54), file.readUInt16LE(56)];
  return Array.from({ length: count }, (_, at) => file.readUInt32LE(table + at * size)).includes(INTERPRETER);
};

/** What could grow: where its memory lies and what is in use of it. Its stack is what it was at its deepest. */
const memoryOf = (pid: number) => ({
  maps: readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .filter((line) => !line.endsWith("[stack]"))
    .map((line) => line.split(" ")[0]),
  data: statusField(pid, "VmData"),
  descriptors: readdirSync(`/proc/${pid}/fd`).length,
});

const round = async (container: Container): Promise<void> => {
  const attachment = await container.attach({ scrollbackBytes: 0 });
  attachment.stderr.resume();
  let seen = 0;
  attachment.stdout.on("data", (chunk: Buffer) => (seen += chunk.length));
  attachment.stdin.write("again\n");
  await eventually(() => seen >= BYTES);
  attachment.detach();
  await attachment.closed;
  const program = await container.exec({ command: ["cat"], stdin: "pipe", limits: { pids: 8 } });
  if (!program.ok) throw new Error(JSON.stringify(program.error));
  program.value.stderr.resume();
  program.value.stdout.resume();
  program.value.stdin.end("some input");
  expect(await program.value.exited).toMatchObject({ code: 0 });
  expect((await container.exec({ command: ["no-such-program"] })).ok).toBe(false);
  await container.signal(28);
  await container.stats();
};

test.skipIf(sanitized)("is a static program of one thread, as is the init of its container", async () => {
  expect(hasInterpreter(process.execPath)).toBe(true);
  expect(hasInterpreter(supervisorPath)).toBe(false);
  const container = await host.start(["sleep", "1000"]);
  const init = Number(statusField(container.pid ?? 0, "PPid"));
  expect([supervisorOf(container.pid ?? 0), init].map((pid) => statusField(pid, "Threads"))).toEqual(["1", "1"]);
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
});

test.skipIf(sanitized)("asks nobody for memory: nothing of it refers to an allocator, or to what would use one", () => {
  const objects = join(dirname(supervisorPath), "supervisor");
  const files = readdirSync(objects).filter((name) => name.endsWith(".o"));
  expect(files.length).toBeGreaterThan(40);
  const text = execFileSync("nm", ["-A", "-u", ...files], { cwd: objects, encoding: "utf8" });
  expect(text).toMatch(/ U openat$/m);
  const allocating =
    / U (\w*(alloc|strdup|asprintf)\w*|free|\w*opendir|scandir|\w*memstream|fopen|fdopen|getline|getpw\w+|getgr\w+)$/;
  expect(text.split("\n").filter((line) => allocating.test(line))).toEqual([]);
});

test.skipIf(sanitized)(
  `has after ${ROUNDS} rounds of output, clients and programs the memory that it had`,
  async () => {
    const script = `while read -r line; do head -c ${BYTES} /dev/zero; done`;
    const log = { maxBytes: 1024 * 1024, bytesPerSecond: 1e9 };
    const container = await host.start(["sh", "-c", script], { stdin: "pipe", log });
    const supervisor = supervisorOf(container.pid ?? 0);
    for (let time = 0; time < 2; time += 1) await round(container);
    const before = memoryOf(supervisor);
    for (let time = 0; time < ROUNDS; time += 1) await round(container);
    await eventually(() => memoryOf(supervisor).descriptors === before.descriptors);
    expect(memoryOf(supervisor)).toEqual(before);
    expect((await outputOf(container)).length).toBeLessThanOrEqual(log.maxBytes);
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  },
);
