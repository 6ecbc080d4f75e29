/**
 * A container outlives the agent that started it, so an agent meets supervisors of other versions. Those are played here:
 * a process holds the lock and answers on the socket as an older or a newer one would.
 */
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { binding, supervisorPath } from "../lib/binding.ts";
import { openRuntime, type Container, type Runtime } from "../lib/index.ts";
import { eventually, processExists, supervisorOf, testHost } from "./host.ts";

const host = testHost();
const runtimes: Runtime[] = [];
const cleanups: (() => void)[] = [];
let serial = 0;

afterEach(async () => {
  for (const runtime of runtimes.splice(0)) await runtime.close();
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A supervisor in name: `answer` gets each request. */
const pretend = async (answer: (request: Buffer, socket: Socket, status: string) => void): Promise<Container> => {
  const stateDir = join(host.directory, `version-${(serial += 1)}`);
  const directory = join(stateDir, "old");
  mkdirSync(directory, { recursive: true });
  const root = openSync(stateDir, constants.O_RDONLY | constants.O_DIRECTORY);
  const lock = binding().lock(root, "old");
  expect(lock).toBeGreaterThan(0);
  const status = JSON.stringify({
    version: 1,
    state: "running",
    bootId: "x",
    supervisorPid: process.pid,
    initPid: process.pid,
    pid: process.pid,
    startedAtMs: 1,
    cgroupParent: host.cgroupParent,
  });
  writeFileSync(join(directory, "status"), status);
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => answer(chunk, socket, status));
  });
  await new Promise<void>((resolve) => server.listen(join(directory, "control.sock"), resolve));
  const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
  runtimes.push(runtime);
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    closeSync(lock);
    closeSync(root);
  });
  const [found] = await runtime.adopt();
  if (found?.kind !== "running") throw new Error(`found ${found?.kind}`);
  return found.container;
};

const reply = (version: number, type: number, seq: number, payload = ""): Buffer => {
  const frame = Buffer.alloc(16);
  frame.writeUInt8(version, 0);
  frame.writeUInt8(type, 1);
  frame.writeUInt32LE(seq, 4);
  frame.writeUInt32LE(payload.length, 12);
  return Buffer.concat([frame, Buffer.from(payload)]);
};

test("a supervisor of before terminals and exec: what it knows works, the rest says why not", async () => {
  const asked: number[] = [];
  const container = await pretend((request, socket, status) => {
    asked.push(request.readUInt8(1));
    const type = request.readUInt8(1) === 4 ? 2 : 1;
    socket.write(reply(1, type, request.readUInt32LE(4), type === 2 ? status : ""));
  });
  await container.signal(10);
  for (const refused of [
    container.attach(),
    container.exec({ command: ["true"] }),
    container.resize({ rows: 1, columns: 1 }),
  ])
    await expect(refused).rejects.toThrow(/old.*older version.*level 1, 2 is needed.*ENOSYS/);
  expect(asked).toEqual([4, 2]);
});

test.each([
  ["filters", 2, 3, { seccomp: { base: "default", defaultAction: "allow", rules: [] } }],
  ["limits", 5, 6, { limits: { pids: 8 } }],
] as const)(
  "a supervisor of before %s of executed programs is not asked for one: it would leave it away",
  async (_what, level, needed, more) => {
    const asked: number[] = [];
    const container = await pretend((request, socket, status) => {
      const type = request.readUInt8(1);
      asked.push(type);
      const told = status.replace('"startedAtMs":1', `"startedAtMs":1,"createdAtMs":1,"controlLevel":${level}`);
      socket.write(reply(1, type === 4 ? 2 : 1, request.readUInt32LE(4), type === 4 ? told : ""));
    });
    await container.signal(10);
    await expect(container.exec({ command: ["true"], ...more })).rejects.toThrow(
      new RegExp(`level ${level}, ${needed} is needed.*ENOSYS`),
    );
    expect(asked).not.toContain(9);
  },
);

test("a supervisor of before secrets is asked to execute in the version of the spec that it reads", async () => {
  let version = 0;
  const container = await pretend((request, socket, status) => {
    const type = request.readUInt8(1);
    const told = status.replace('"startedAtMs":1', '"startedAtMs":1,"createdAtMs":1,"controlLevel":4');
    if (type === 4) socket.write(reply(1, 2, request.readUInt32LE(4), told));
    else if (type === 9) {
      version = request.readUInt32LE(16 + 4);
      socket.destroy();
    } else socket.write(reply(1, 1, request.readUInt32LE(4)));
  });
  await container.signal(10);
  await container.exec({ command: ["true"] }).catch(() => undefined);
  expect(version).toBe(3);
});

test("a supervisor with another framing is running, cannot be talked to, and is named with its version", async () => {
  const container = await pretend((_request, socket) => socket.end(reply(9, 9, 0)));
  await expect(container.signal(10)).rejects.toThrow(/speaks control version 9, this agent 1.*EPROTONOSUPPORT/);
  await expect(container.attach()).rejects.toThrow(/version 9.*EPROTONOSUPPORT/);
});

test("a supervisor that answers nonsense is running and cannot be talked to", async () => {
  const container = await pretend((_request, socket) => socket.end(Buffer.alloc(64, 1)));
  await expect(container.signal(10)).rejects.toThrow(/supervisor of old answers cannot be read.*EPROTO/);
});

test("the program file may be replaced while containers run: what runs is what was started", async () => {
  const container = await host.start(["sh", "-c", "while read -r line; do echo $line; done"], { stdin: "pipe" });
  const supervisor = supervisorOf(container.pid ?? 0);
  /* Covered, which needs no right to write where it lies and leaves it as it is whatever happens here. */
  const other = join(host.directory, "no-program");
  writeFileSync(other, "not a program", { mode: 0o755 });
  execFileSync("mount", ["--bind", other, supervisorPath]);
  try {
    expect(readFileSync(supervisorPath, "utf8")).toBe("not a program");
    const attachment = await container.attach();
    let text = "";
    attachment.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    attachment.stdin.write("still here\n");
    await eventually(() => text === "still here\n");
    const result = await container.exec({ command: ["true"] });
    expect(result.ok && (await result.value.exited).code).toBe(0);
    expect(processExists(supervisor)).toBe(true);
    /* This runtime has its copy; another that is opened now would not. */
    expect(await host.run(["true"])).toMatchObject({ exit: { code: 0 } });
  } finally {
    execFileSync("umount", [supervisorPath]);
  }
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
});
