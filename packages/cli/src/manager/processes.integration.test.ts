// Real processes: what `berth up` starts, loses, finds again and ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { startChild, type Child, type ChildSpec } from "./child.ts";
import { acquireLock, readHolder } from "./lock.ts";
import { identify, isAlive, parseStat, type ProcessId } from "./process-id.ts";
import { openRecords } from "./records.ts";

let directory: string;
const children: Child[] = [];
const pids: number[] = [];
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "berth-up-"))));
afterEach(async () => {
  for (const child of children.splice(0)) await child.stop(0);
  for (const pid of pids.splice(0)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Gone, as it should be.
    }
  }
  rmSync(directory, { recursive: true });
});

/** A program that says it is ready and ends with its standard input or with SIGTERM, unless `script` says otherwise. */
const READY = `process.stdout.write(JSON.stringify({ ready: true, pid: process.pid }) + "\\n");`;
const POLITE = `${READY} process.stdin.resume().on("end", () => process.exit(0)); process.on("SIGTERM", () => process.exit(0));`;

const specOf = (script: string, more: Partial<ChildSpec> = {}): ChildSpec => ({
  name: "thing",
  command: process.execPath,
  args: ["-e", script],
  env: { PATH: process.env["PATH"] },
  logFile: join(directory, "thing.log"),
  readyTimeoutMs: 20_000,
  ...more,
});

interface Seen {
  readonly processes: (ProcessId | undefined)[];
  readonly deaths: string[];
  readonly again: Promise<void>;
}

const start = async (spec: ChildSpec) => {
  let ready = (): void => undefined;
  const seen: Seen = { processes: [], deaths: [], again: new Promise((resolve) => (ready = resolve)) };
  const { child, info } = await startChild(spec, {
    onProcess: (process) => seen.processes.push(process),
    onDeath: (why) => seen.deaths.push(why),
    onReadyAgain: () => ready(),
  });
  children.push(child);
  return { child, info, seen };
};

const untilGone = async (id: ProcessId): Promise<void> => {
  while (isAlive(id)) await sleep(20);
};

describe("a process that is kept running", () => {
  test("is started again after a kill, and ends when it is asked to", async () => {
    const { child, info, seen } = await start(specOf(POLITE));
    process.kill(Number(info["pid"]), "SIGKILL");
    await seen.again;
    expect(seen.deaths).toEqual(["was ended by SIGKILL"]);
    const second = seen.processes.at(-1);
    expect(second).toBeDefined();
    await child.stop(10_000);
    expect(second === undefined || isAlive(second)).toBe(false);
    expect(seen.processes.at(-1)).toBeUndefined();
  });

  test("that ignores the request is ended all the same", async () => {
    const { child, seen } = await start(
      specOf(`${READY} process.on("SIGTERM", () => {}); setInterval(() => {}, 1e6);`),
    );
    const id = seen.processes[0];
    await child.stop(100);
    expect(id !== undefined && isAlive(id)).toBe(false);
  });

  test("that never gets ready is an error with what it said, and is not left behind", async () => {
    const script = `process.stderr.write(JSON.stringify({ level: 50, msg: "no such port" }) + "\\n"); process.exit(1)`;
    const failure: unknown = await start(specOf(script)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({
      message: "thing did not start",
      exit: 69,
      detail: "it ended with code 1: no such port",
    });
  });

  test("that hangs before it is ready is an error, and is not left behind", async () => {
    const file = join(directory, "pid");
    const script = `require("fs").writeFileSync(${JSON.stringify(file)}, String(process.pid)); setInterval(() => {}, 1e6);`;
    const failure: unknown = await start(specOf(script, { readyTimeoutMs: 1_500 })).catch((error: unknown) => error);
    expect(failure).toMatchObject({ detail: expect.stringContaining("was not ready within") });
    expect(identify(Number(readFileSync(file, "utf8")))).toBeUndefined();
  });

  test.each([
    [
      "says something else",
      `console.log("hello"); setInterval(() => {}, 1e6);`,
      'it said "hello" instead of being ready',
    ],
    ["says that it is not", `console.log('{"ready":false}'); setInterval(() => {}, 1e6);`, "it did not become ready"],
  ])("that %s is an error", async (_name, script, detail) => {
    const failure: unknown = await start(specOf(script)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ detail });
  });

  test("whose program does not exist is an error", async () => {
    const failure: unknown = await start(specOf("", { command: "/nowhere/node" })).catch((error: unknown) => error);
    expect(failure).toMatchObject({ detail: expect.stringContaining("ENOENT") });
  });

  test("ends by itself when its keeper is killed", async () => {
    const keeper = spawn(
      process.execPath,
      ["--conditions=source", "--import", "tsx", "-e", keeperScript(specOf(POLITE))],
      { stdio: ["ignore", "pipe", "inherit"], cwd: new URL("../../../..", import.meta.url) },
    );
    pids.push(keeper.pid ?? -1);
    const [line] = (await once(keeper.stdout, "data")) as [Buffer];
    const id = identify(Number(line.toString()));
    expect(id).toBeDefined();
    keeper.kill("SIGKILL");
    if (id !== undefined) await untilGone(id);
  });
});

const keeperScript = (spec: ChildSpec): string => `
  import { startChild } from ${JSON.stringify(new URL("./child.ts", import.meta.url).href)};
  const nothing = () => undefined;
  startChild(${JSON.stringify(spec)}, { onProcess: nothing, onDeath: nothing, onReadyAgain: nothing })
    .then(({ info }) => process.stdout.write(String(info.pid)));
  setInterval(nothing, 1e6);
`;

describe("the lock of a data directory", () => {
  test("is held by one, and is free again after it", () => {
    const lock = acquireLock(directory);
    lock.note({ apiPort: 1, natsPort: 2 });
    expect(readHolder(directory)).toMatchObject({ process: { pid: process.pid }, apiPort: 1, natsPort: 2 });
    expect(() => acquireLock(directory)).toThrow(/running already/);
    lock.release();
    expect(readHolder(directory)).toBeUndefined();
    acquireLock(directory).release();
  });

  test("is not held by a note of somebody who is gone", () => {
    const lock = acquireLock(directory);
    lock.release();
    const own = identify(process.pid);
    writeFileSync(
      join(directory, "up.json"),
      JSON.stringify({ process: { ...own, startTicks: 1 }, apiPort: 1, natsPort: 2 }),
    );
    expect(readHolder(directory)).toBeUndefined();
    writeFileSync(join(directory, "up.json"), "{");
    expect(readHolder(directory)).toBeUndefined();
    acquireLock(directory).release();
  });

  test("of a directory that cannot be is an error that says so", () => {
    const file = join(directory, "file");
    writeFileSync(file, "");
    expect(() => acquireLock(join(file, "below"))).toThrow(/Cannot use the data directory/);
  });
});

describe("what a killed start has left", () => {
  const sleeper = async (script: string): Promise<ProcessId> => {
    const child = spawn(process.execPath, ["-e", `${script}; console.log("up"); setInterval(() => {}, 1e6)`], {
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    pids.push(child.pid ?? -1);
    await once(child.stdout, "data");
    const id = identify(child.pid ?? -1);
    if (id === undefined) throw new Error("it is gone already");
    return id;
  };

  test("is ended, but never a process that only has the same pid", async () => {
    const [ours, other] = [await sleeper(""), await sleeper("")];
    const before = openRecords(directory);
    before.remember("agent", ours);
    before.remember("scheduler", { ...other, startTicks: other.startTicks - 1 });
    const after = openRecords(directory);
    expect(await after.endLeftOvers()).toEqual(["agent"]);
    expect([isAlive(ours), isAlive(other)]).toEqual([false, true]);
    expect(await openRecords(directory).endLeftOvers()).toEqual([]);
  });

  test("is forgotten when it has ended in order", async () => {
    const id = await sleeper("");
    const records = openRecords(directory);
    records.remember("agent", id);
    records.remember("agent", undefined);
    expect(await openRecords(directory).endLeftOvers()).toEqual([]);
    expect(isAlive(id)).toBe(true);
  });

  test.each([
    ["no file", undefined],
    ["a damaged file", "{"],
    ["nonsense in it", '{"a":{"pid":"1"},"b":null,"c":[]}'],
  ])("with %s is nothing", async (_name, text) => {
    if (text !== undefined) writeFileSync(join(directory, "processes.json"), text);
    expect(await openRecords(directory).endLeftOvers()).toEqual([]);
  });
});

describe("the identity of a process", () => {
  test("is read whatever its name is", () => {
    const tail = Array.from({ length: 18 }, (_, at) => at).join(" ");
    expect(parseStat(`7 (a) b) S ${tail} 4711 0 0\n`)).toBe(4711);
    expect(parseStat(`7 (gone) Z ${tail} 4711 0 0\n`)).toBeUndefined();
    expect(parseStat("")).toBeUndefined();
  });

  test("of nobody is none", () => {
    expect(identify(2 ** 22 + 1)).toBeUndefined();
  });
});
