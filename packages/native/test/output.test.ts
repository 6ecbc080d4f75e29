/** Standard output and error: complete, in order, bounded, and never a reason for a program to stand still. */
import { readFileSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { eventually, testHost } from "./host.ts";

const host = testHost();

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
    await eventually(() => readFileSync(container.stdoutPath, "utf8") === "early\n");
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  });

  test("is cut at its limit with a line that says so; the program goes on and the rest is counted", async () => {
    const { exit, stdout, stderr } = await host.sh("seq 1 100000; echo done >&2; exit 7", { outputMaxBytes: 1000 });
    expect(exit).toMatchObject({ code: 7, droppedBytes: 588_895 - 1000 });
    expect(stdout.slice(0, 1000)).toBe(
      Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`)
        .join("")
        .slice(0, 1000),
    );
    expect(stdout.slice(1000)).toBe("\n[berth: output beyond 1000 bytes was discarded]\n");
    expect(stderr).toBe("done\n");
  });

  test("a limit of zero keeps nothing", async () => {
    const { exit, stdout } = await host.sh("seq 1 1000", { outputMaxBytes: 0 });
    expect(exit).toMatchObject({ code: 0, droppedBytes: 3893 });
    expect(stdout).toBe("\n[berth: output beyond 0 bytes was discarded]\n");
  });

  test("a flood fills no more than the limit", async () => {
    const container = await host.start(["sh", "-c", "yes flood"], { outputMaxBytes: 4096 });
    await eventually(() => statSync(container.stdoutPath).size > 4096);
    const exit = await container.stop({ signal: 15, graceMs: 1000 });
    expect(statSync(container.stdoutPath).size).toBeLessThan(4096 + 100);
    expect(exit.droppedBytes).toBeGreaterThan(0);
    await container.remove();
  });

  test("files belong to the host's root alone", async () => {
    const container = await host.start(["true"]);
    await container.exited;
    expect(statSync(container.stdoutPath)).toMatchObject({ uid: 0, gid: 0 });
    expect(statSync(container.stdoutPath).mode & 0o777).toBe(0o600);
    await container.remove();
  });

  test("a program that closes its output still runs to its end", async () => {
    const { exit } = await host.sh("exec >&- 2>&-; sleep 0.05; exit 9");
    expect(exit.code).toBe(9);
  });
});
