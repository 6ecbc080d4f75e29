/** Standard output and error: complete, in order, bounded, and never a reason for a program to stand still. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openLog, type Container, type LogRecord } from "../lib/index.ts";
import { eventually, outputOf, sanitized, slow, supervisorOf, testHost } from "./host.ts";

const host = testHost();
const LEAST = 128 * 1024;
/** Of a supervisor's own memory; what sanitizers need for themselves is no measure of anything. */
const MOST_KIB = sanitized ? 65_536 : 600;

const bytesOnDisk = (container: Container): number =>
  readdirSync(container.logPath).reduce((sum, name) => {
    /* Rotated away since it was listed. */
    return sum + (statSync(join(container.logPath, name), { throwIfNoEntry: false })?.size ?? 0);
  }, 0);
const all = async (records: AsyncIterable<LogRecord>): Promise<LogRecord[]> => {
  const list: LogRecord[] = [];
  for await (const record of records) list.push(record);
  return list;
};
/** Fields of /proc/PID/stat after the name; utime and stime are 11 and 12. */
const readStat = (pid: number): string[] => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
const privateKib = (pid: number): number =>
  [...readFileSync(`/proc/${pid}/smaps_rollup`, "utf8").matchAll(/^Private_\w+: +(\d+) kB/gm)].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
const announced = (text: string): number =>
  [...text.matchAll(/^\[berth: (\d+) bytes of output were discarded\]$/gm)].reduce((sum, m) => sum + Number(m[1]), 0);
describe("output", () => {
  test("both streams are kept apart, byte for byte", async () => {
    const { stdout, stderr } = await host.sh("printf 'a\\0b\\n'; echo error >&2; printf 'no newline'");
    expect(stdout).toBe("a\0b\nno newline");
    expect(stderr).toBe("error\n");
  });

  test("what was written before the end is there, however much it is", async () => {
    const { stdout, exit } = await host.sh("seq 1 200000");
    expect(stdout.length).toBe(1_288_895);
    expect(stdout.endsWith("\n199999\n200000\n")).toBe(true);
    expect(exit.droppedBytes).toBe(0);
  });

  test("can be read while the program runs", async () => {
    const container = await host.start(["sh", "-c", "echo early; sleep 1000"]);
    await eventually(async () => (await outputOf(container)) === "early\n");
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  });

  test("records carry stream, time, offset, and whether a line is unfinished", async () => {
    const before = Date.now();
    const container = await host.start(["sh", "-c", "echo one; sleep 0.2; echo two >&2; sleep 0.2; printf three"]);
    await container.exited;
    const records = await all(openLog(container.logPath).records());
    expect(records.map((r) => [r.stream, r.offset, r.data.toString(), r.partial, r.gap])).toEqual([
      ["stdout", 0, "one\n", false, false],
      ["stderr", 0, "two\n", false, false],
      ["stdout", 4, "three", true, false],
    ]);
    expect(records.every((r) => r.timeMs >= before - 1 && r.timeMs <= Date.now())).toBe(true);
    expect(records[2]!.timeMs).toBeGreaterThan(records[0]!.timeMs);
    await container.remove();
  });

  test("a follower sees each byte once, over rotations", async () => {
    const container = await host.start(
      ["sh", "-c", "i=0; while [ $i -lt 40 ]; do seq 1 2000; i=$((i+1)); sleep 0.01; done"],
      {
        log: { maxBytes: 2 * LEAST, files: 4 },
      },
    );
    let ended = false;
    void container.exited.then(() => (ended = true));
    const parts: Buffer[] = [];
    let next = 0;
    for await (const record of openLog(container.logPath).records({ follow: { ended: () => ended } })) {
      expect(record.offset).toBe(next);
      next += record.data.length;
      parts.push(Buffer.from(record.data));
    }
    const once = Array.from({ length: 2000 }, (_, i) => `${i + 1}\n`).join("");
    expect(Buffer.concat(parts).toString() === once.repeat(40)).toBe(true);
    expect(bytesOnDisk(container)).toBeLessThanOrEqual(2 * LEAST);
    await container.remove();
  });

  test("the newest bytes are kept; what was rotated away is skipped, and the offset says so", async () => {
    const container = await host.start(["seq", "1", "200000"], { log: { maxBytes: LEAST, files: 2 } });
    expect(await container.exited).toMatchObject({ code: 0, droppedBytes: 0 });
    const whole = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join("");
    const log = openLog(container.logPath);
    const { start, end } = await log.range("stdout");
    expect(end).toBe(whole.length);
    expect(start).toBeGreaterThan(end - LEAST);
    const kept = await log.read("stdout", 0, whole.length);
    expect(kept.offset).toBe(start);
    expect(kept.data.toString()).toBe(whole.slice(start));
    for (const offset of [start, start + 1, start + 70_000, end - 1])
      expect((await log.read("stdout", offset, 100)).data.toString()).toBe(whole.slice(offset, offset + 100));
    expect((await log.read("stdout", end, 100)).data.length).toBe(0);
    expect(bytesOnDisk(container)).toBeLessThanOrEqual(LEAST);
    await container.remove();
  });

  test("beyond its allowance output is discarded, counted, and the log says where; the program goes on", async () => {
    const container = await host.start(["sh", "-c", "seq 1 100000; sleep 0.3; echo last; echo done >&2; exit 7"], {
      log: { bytesPerSecond: 32 * 1024 },
    });
    const exit = await container.exited;
    expect(exit.code).toBe(7);
    expect(exit.droppedBytes).toBeGreaterThan(588_895 - 200_000);
    const records = await all(openLog(container.logPath).records());
    const gaps = records.filter((record) => record.gap);
    const kept = records.filter((record) => !record.gap).reduce((sum, record) => sum + record.data.length, 0);
    expect(gaps.length).toBeGreaterThan(0);
    expect(gaps.reduce((sum, gap) => sum + announced(gap.data.toString()), 0)).toBe(exit.droppedBytes);
    expect(kept + exit.droppedBytes).toBe(588_895 + "last\n".length + "done\n".length);
    expect((await outputOf(container)).startsWith("1\n2\n3\n")).toBe(true);
    await container.remove();
  });

  test("or the program waits, and nothing is lost", async () => {
    const { exit, stdout } = await host.sh("seq 1 20000", { log: { bytesPerSecond: 64 * 1024, beyond: "wait" } });
    expect(exit).toMatchObject({ code: 0, droppedBytes: 0 });
    expect(stdout.length).toBe(108_894);
    const { exit: slow, stdout: more } = await host.sh("seq 1 60000", {
      log: { bytesPerSecond: 64 * 1024, beyond: "wait" },
    });
    expect(slow).toMatchObject({ code: 0, droppedBytes: 0 });
    expect(slow.finishedAtMs - (slow.startedAtMs ?? 0)).toBeGreaterThan(200);
    expect(more.length).toBe(348_894);
  });

  test("a log of zero bytes keeps nothing and stops nobody", async () => {
    const { exit, stdout } = await host.sh("seq 1 1000", { log: { maxBytes: 0 } });
    expect(exit).toMatchObject({ code: 0, droppedBytes: 3893 });
    expect(stdout).toBe("");
  });

  test("a flood stays bounded in disk, memory and the supervisor's time", async () => {
    const container = await host.start(["sh", "-c", "yes flood & yes flood >&2"], {
      log: { maxBytes: 1024 * 1024, bytesPerSecond: 1024 * 1024 },
    });
    const supervisor = supervisorOf(container.pid ?? 0);
    const ticks = () => {
      const fields = readStat(supervisor);
      return Number(fields[11]) + Number(fields[12]);
    };
    const log = openLog(container.logPath);
    /* Far beyond what is kept. */
    await eventually(async () => (await log.range("stdout")).start > 3 * 1024 * 1024);
    const [before, at] = [ticks(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const share = ((ticks() - before) * 10) / (performance.now() - at);
    expect(share).toBeLessThan(0.5);
    expect(bytesOnDisk(container)).toBeLessThanOrEqual(1024 * 1024);
    expect(privateKib(supervisor)).toBeLessThan(MOST_KIB);
    const exit = await container.stop({ signal: 15, graceMs: 1000 });
    expect(exit.droppedBytes).toBeGreaterThan(10 * 1024 * 1024);
    await container.remove();
  });

  test("floods in ten containers take nothing from a neighbour, and stay bounded, each of them", async () => {
    const limits = { cpuRequestMillis: 10, cpuLimitMillis: 300, memoryBytes: 32 * 1024 * 1024, pids: 8 };
    const log = { maxBytes: 256 * 1024, bytesPerSecond: 256 * 1024 };
    const floods = await Promise.all(
      Array.from({ length: 10 }, () => host.start(["sh", "-c", "yes flood & yes flood >&2"], { limits, log })),
    );
    const lines = Array.from({ length: 150 }, (_, at) => `line ${at + 1}\n`).join("");
    const quiet = await host.sh("i=0; while [ $i -lt 150 ]; do i=$((i+1)); echo line $i; sleep 0.005; done");
    expect(quiet.stdout).toBe(lines);
    expect(quiet.exit).toMatchObject({ code: 0, droppedBytes: 0 });
    for (const flood of floods) {
      await eventually(async () => (await openLog(flood.logPath).range("stdout")).end > 2 * log.maxBytes);
      expect(bytesOnDisk(flood)).toBeLessThanOrEqual(log.maxBytes);
      expect(privateKib(supervisorOf(flood.pid ?? 0))).toBeLessThan(MOST_KIB);
    }
    for (const exit of await Promise.all(floods.map((flood) => flood.stop({ signal: 9, graceMs: 0 }))))
      expect(exit.droppedBytes).toBeGreaterThan(1024 * 1024);
    await Promise.all(floods.map((flood) => flood.remove()));
  });

  test("after a supervisor's kill at any instant, what was written before is read, in order and once", async () => {
    for (let round = 0; round < (slow ? 3 : 10); round += 1) {
      const container = await host.start(["sh", "-c", "while :; do seq 1 5000; done"], {
        log: { maxBytes: 2 * LEAST, files: 4, bytesPerSecond: null },
      });
      const log = openLog(container.logPath);
      await eventually(async () => (await log.range("stdout")).end > 100_000 * round);
      process.kill(supervisorOf(container.pid ?? 0), "SIGKILL");
      expect(await container.exited).toMatchObject({ cause: "supervisor_lost" });
      const { start, end } = await log.range("stdout");
      const { offset, data } = await log.read("stdout", 0, end);
      expect([offset, data.length]).toEqual([start, end - start]);
      const once = Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`).join("");
      expect(once.repeat(Math.ceil(end / once.length)).slice(start, end) === data.toString()).toBe(true);
      await container.remove();
    }
  });

  test("files belong to the host's root alone", async () => {
    const container = await host.start(["echo", "x"]);
    await container.exited;
    for (const path of [container.logPath, join(container.logPath, "1")]) {
      expect(statSync(path)).toMatchObject({ uid: 0, gid: 0 });
      expect(statSync(path).mode & 0o077).toBe(0);
    }
    await container.remove();
  });

  test("a program that closes its output still runs to its end", async () => {
    const { exit } = await host.sh("exec >&- 2>&-; sleep 0.05; exit 9");
    expect(exit.code).toBe(9);
  });
});
