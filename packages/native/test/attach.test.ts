/** What goes in and out while a container runs: attached clients, standard input, a terminal of its own. */
import { readFileSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import type { Attachment, Container } from "../lib/index.ts";
import { eventually, outputOf, processExists, statusField, supervisorOf, testHost } from "./host.ts";

const host = testHost();

/** What has come so far. */
const collect = (readable: Readable): { text: string } => {
  const seen = { text: "" };
  readable.on("data", (chunk: Buffer) => (seen.text += chunk.toString("latin1")));
  return seen;
};
const finish = async (container: Container): Promise<void> => {
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
};

describe("attached", () => {
  test("what was written before comes first, then what is written, each byte once; detaching changes nothing", async () => {
    const container = await host.start(
      ["sh", "-c", "echo early; while read -r line; do echo got $line; echo err >&2; done"],
      {
        stdin: "pipe",
      },
    );
    await eventually(async () => (await outputOf(container)) === "early\n");
    const attachment = await container.attach();
    expect([attachment.terminal, attachment.takesInput]).toEqual([false, true]);
    const [out, err] = [collect(attachment.stdout), collect(attachment.stderr)];
    attachment.stdin.write("one\n");
    await eventually(() => out.text === "early\ngot one\n" && err.text === "err\n");
    attachment.detach();
    expect(await attachment.closed).toBe("detached");
    const again = await container.attach({ scrollbackBytes: 8 });
    const seen = collect(again.stdout);
    again.stdin.write("two\n");
    await eventually(() => seen.text === "got one\ngot two\n");
    expect(processExists(container.pid ?? 0)).toBe(true);
    again.stdin.end();
    expect(await container.exited).toMatchObject({ code: 0 });
    expect(await again.closed).toBe("ended");
    expect(await outputOf(container)).toBe("early\ngot one\ngot two\n");
    await container.remove();
  });

  test("several see the same; the one that does not read is dropped, and nobody waits for it", async () => {
    const container = await host.start(["sh", "-c", "read go; seq 1 1000000; read stop"], {
      stdin: "pipe",
      log: { bytesPerSecond: null },
    });
    const [reader, lazy] = [await container.attach(), await container.attach()];
    const seen = collect(reader.stdout);
    reader.stdin.write("go\n");
    const whole = Array.from({ length: 1_000_000 }, (_, i) => `${i + 1}\n`).join("");
    await eventually(async () => (await outputOf(container)) === whole);
    /* It learns of it when it gets there. */
    const late = collect(lazy.stdout);
    expect(await lazy.closed).toBe("dropped");
    expect(whole.startsWith(late.text)).toBe(true);
    expect(late.text.length).toBeLessThan(whole.length);
    /* A reader that keeps up is not; on a busy machine it may fall behind as well, and is told so. */
    let dropped = false;
    void reader.closed.then(() => (dropped = true));
    await eventually(() => seen.text === whole || dropped);
    expect(whole.startsWith(seen.text)).toBe(true);
    await finish(container);
  });

  test("input that nobody reads is bounded: the writer waits, the container does not notice, others still get answers", async () => {
    const container = await host.start(["sh", "-c", "echo up; sleep 1000"], { stdin: "pipe" });
    const attachment = await container.attach();
    let written = 0;
    const pour = (): void => {
      attachment.stdin.write(Buffer.alloc(65_536, 120), () => {
        written += 65_536;
        if (written < 64 * 1024 * 1024) pour();
      });
    };
    pour();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(written).toBeLessThan(8 * 1024 * 1024);
    await container.signal(28);
    const other = await container.attach();
    expect(other.takesInput).toBe(true);
    attachment.detach();
    await finish(container);
  });

  test("without standard input what is sent is thrown away", async () => {
    const container = await host.start(["sh", "-c", "cat; echo done; sleep 1000"]);
    const attachment = await container.attach();
    expect(attachment.takesInput).toBe(false);
    const seen = collect(attachment.stdout);
    attachment.stdin.write("nobody\n");
    await eventually(() => seen.text === "done\n");
    await expect(container.resize({ rows: 24, columns: 80 })).rejects.toThrow(/ENOTTY/);
    await finish(container);
  });

  test("nonsense on the socket disturbs neither the container nor other clients", async () => {
    const container = await host.start(["sh", "-c", "while read -r l; do echo $l; done"], { stdin: "pipe" });
    const good = await container.attach();
    const seen = collect(good.stdout);
    const answers = await Promise.all(
      [
        Buffer.alloc(16),
        Buffer.from([2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Buffer.from([1, 99, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Buffer.from([1, 1, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Buffer.from([1, 2, 0]),
        Buffer.concat([Buffer.from([1, 6, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]), Buffer.alloc(100_000)]),
      ].map((bytes) => talk(container, bytes)),
    );
    /* Another version: told which one is spoken here, and closed. */
    for (const answer of answers.slice(0, 2)) expect([answer[0], answer[1], answer[8]]).toEqual([1, 9, 93]);
    /* A request that is not known: ENOSYS, with its sequence number. */
    expect([answers[2]?.[1], answers[2]?.[4], answers[2]?.[8]]).toEqual([1, 7, 38]);
    expect([answers[3]?.[1], answers[3]?.[4], answers[3]?.[8]]).toEqual([1, 8, 38]);
    good.stdin.write("still here\n");
    await eventually(() => seen.text === "still here\n");
    await finish(container);
  });
});

/** Sends bytes on a connection of its own; what came back within a moment. */
const talk = (container: Container, bytes: Buffer): Promise<Buffer> =>
  new Promise((resolve) => {
    const parts: Buffer[] = [];
    const socket = connect(join(container.logPath, "..", "control.sock"));
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(Buffer.concat(parts)));
    socket.write(bytes);
    setTimeout(() => socket.destroy(), 200);
  });

describe("a terminal", () => {
  const size = { rows: 31, columns: 101 };
  const shell = async (): Promise<{ container: Container; attachment: Attachment; seen: { text: string } }> => {
    const container = await host.start(["sh", "-i"], { terminal: size, env: { PS1: "$ ", PATH: "/bin" } });
    const attachment = await container.attach();
    const seen = collect(attachment.stdout);
    await eventually(() => seen.text.includes("$ "));
    return { container, attachment, seen };
  };

  test("is standard input, output and error, /dev/console, and of the size that was asked for", async () => {
    const { container, attachment, seen } = await shell();
    expect(attachment.terminal).toBe(true);
    attachment.stdin.write("stty size; tty; for i in 0 1 2; do readlink /proc/$$/fd/$i; done\n");
    await eventually(() => seen.text.includes("31 101\r\n/dev/pts/0\r\n/dev/pts/0\r\n/dev/pts/0\r\n/dev/pts/0\r\n"));
    attachment.stdin.write("echo to the console > /dev/console; ls -l /dev/console\n");
    await eventually(() => /\r\nto the console\r\ncrw[^\n]*136,/.test(seen.text));
    /* The log holds the same, as one stream. */
    await eventually(async () => (await outputOf(container)) === seen.text);
    expect(await outputOf(container, "stderr")).toBe("");
    await finish(container);
  });

  test("changes its size, and the program is told", async () => {
    const script = "trap 'echo WINCH; stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    const container = await host.start(["sh", "-c", script], { terminal: size });
    const attachment = await container.attach();
    const seen = collect(attachment.stdout);
    await eventually(() => seen.text === "ready\r\n");
    await attachment.resize({ rows: 50, columns: 132 });
    await eventually(() => seen.text.includes("WINCH\r\n50 132\r\n"));
    await container.resize({ rows: 20, columns: 40 });
    await eventually(() => seen.text.includes("20 40\r\n"));
    for (const wrong of [
      { rows: 0, columns: 1 },
      { rows: 1, columns: 70_000 },
    ])
      await expect(container.resize(wrong)).rejects.toThrow(/EINVAL/);
    await finish(container);
  });

  test("has job control: ^C ends what runs in the foreground, ^Z stops it, and the shell goes on", async () => {
    const { container, attachment, seen } = await shell();
    attachment.stdin.write("sleep 1000\n");
    const sleeping = (): boolean => childrenOf(container.pid ?? 0).some((pid) => nameOf(pid) === "sleep");
    await eventually(sleeping);
    attachment.stdin.write("\u0003");
    await eventually(() => !sleeping());
    attachment.stdin.write("echo code $?\n");
    await eventually(() => seen.text.includes("code 130\r\n"));
    attachment.stdin.write("sleep 1000\n");
    await eventually(sleeping);
    attachment.stdin.write("\u001a");
    attachment.stdin.write("jobs\n");
    await eventually(() => /Stopped\s+sleep 1000/.test(seen.text));
    await finish(container);
  });

  test("end of input ends the shell; its exit is the container's", async () => {
    const { container, attachment } = await shell();
    attachment.stdin.write("exit 3");
    attachment.stdin.write("\n");
    expect(await container.exited).toMatchObject({ code: 3, cause: "exited" });
    expect(await attachment.closed).toBe("ended");
    await container.remove();
    const second = await shell();
    second.attachment.stdin.end();
    expect(await second.container.exited).toMatchObject({ cause: "exited" });
    await second.container.remove();
  });

  test("outlives every client, and a program that closes all of it", async () => {
    const container = await host.start(
      ["sh", "-c", "exec <&- >&- 2>&-; sleep 0.3; echo back > /dev/console; sleep 0.3; exit 6"],
      { terminal: size },
    );
    (await container.attach()).detach();
    expect(await container.exited).toMatchObject({ code: 6 });
    expect(await outputOf(container)).toBe("back\r\n");
    await container.remove();
  });

  test("its supervisor does not spin, and gives the program nothing but the terminal", async () => {
    const container = await host.start(["sleep", "1000"], { terminal: size });
    const supervisor = supervisorOf(container.pid ?? 0);
    const ticks = (): number => {
      const fields = readFileSync(`/proc/${supervisor}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
      return Number(fields[11]) + Number(fields[12]);
    };
    const before = ticks();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(ticks() - before).toBeLessThan(3);
    for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${container.pid}/fd/${fd}`)).toBe("/dev/pts/0");
    await finish(container);
  });
});

/** Undefined of one that has ended since it was listed. */
const nameOf = (pid: number): string | undefined => {
  try {
    return statusField(pid, "Name");
  } catch {
    return undefined;
  }
};

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter((text) => text !== "")
    .map(Number);
