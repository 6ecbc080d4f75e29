/** Stopping: the program gets its chance, then everything is gone. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  asNobody,
  compileC,
  eventually,
  layout,
  outputOf,
  processesWith,
  processExists,
  slow,
  statusField,
  testHost,
} from "./host.ts";

const host = testHost();
const tools = join(host.directory, "tools");

beforeAll(() => {
  mkdirSync(join(tools, "bin"), { recursive: true });
  compileC(asNobody, join(tools, "bin/as-nobody"));
  compileC(
    `#include <fcntl.h>
     #include <sys/stat.h>
     #include <unistd.h>
     int main(void) {
       if (chdir("/tmp") || creat("\\377\\376", 0600) < 0 || creat(" \\n", 0) < 0 || symlink("/etc", "link")) return 1;
       if (mkdir("closed", 0700) || creat("closed/x", 0) < 0 || chmod("closed", 0)) return 2;
       for (int i = 0; i < ${slow ? 300 : 3000}; i++) if (mkdir("a-long-name-a-long-name", 0700) || close(creat("file", 0)) || mkdir("~0", 0700) || chdir("a-long-name-a-long-name")) return 3;
       return 0;
     }`,
    join(tools, "bin/leave"),
  );
});

describe("signals", () => {
  test("reach the program, not a PID 1 that ignores them", async () => {
    const container = await host.start(["sleep", "1000"]);
    await container.signal(15);
    expect(await container.exited).toMatchObject({ code: 143, signal: 15, cause: "signalled" });
    await container.remove();
  });

  test("can be caught", async () => {
    const container = await host.start([
      "sh",
      "-c",
      "trap 'echo got it; exit 6' USR1; echo ready; while :; do sleep 0.02; done",
    ]);
    await eventually(async () => (await outputOf(container)) === "ready\n");
    await container.signal(10);
    expect(await container.exited).toMatchObject({ code: 6, signal: null, cause: "exited" });
    expect(await outputOf(container)).toBe("ready\ngot it\n");
    await container.remove();
  });

  test("stop and continue a program that changed its user", async () => {
    const container = await host.start(["as-nobody", "/bin/sleep", "1000"], { layers: [tools, host.image] });
    const state = () => readFileSync(`/proc/${container.pid}/stat`, "utf8").split(") ")[1]?.[0];
    await eventually(() => statusField(container.pid ?? 0, "Name") === "sleep");
    await container.signal(19);
    await eventually(() => state() === "T");
    await container.signal(18);
    await eventually(() => state() === "S");
    expect(await container.stop({ signal: 15, graceMs: 5000 })).toMatchObject({ signal: 15 });
    await container.remove();
  });

  test("after the end are no error; nonsense is refused", async () => {
    const container = await host.start(["sleep", "1000"]);
    await expect(container.signal(0)).rejects.toMatchObject({ error: { stage: "control", code: "EINVAL" } });
    await expect(container.signal(65)).rejects.toMatchObject({ error: { code: "EINVAL" } });
    await container.signal(9);
    await container.exited;
    await container.signal(15);
    await container.remove();
  });
});

describe("stop", () => {
  test("within the grace, the program's own exit counts", async () => {
    const container = await host.start(["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"]);
    await eventually(async () => (await outputOf(container)) === "ready\n");
    const exit = await container.stop({ signal: 15, graceMs: 30_000 });
    expect(exit).toMatchObject({ code: 0, cause: "exited" });
    await container.remove();
  });

  test("after the grace, everything is killed: children, grandchildren, those that left their session", async () => {
    const marker = "stubborn-4712";
    const container = await host.start([
      "sh",
      "-c",
      `trap '' TERM HUP INT; sh -c "trap '' TERM; while :; do sleep 0.1; done" ${marker} & setsid sh -c "trap '' TERM; while :; do sleep 0.1; done" ${marker} & while :; do sleep 0.1; done`,
    ]);
    await eventually(() => processesWith(marker).length >= 3);
    const exit = await container.stop({ signal: 15, graceMs: 50 });
    expect(exit).toMatchObject({ code: 137, signal: 9, oom: false, cause: "signalled" });
    expect(processesWith(marker)).toEqual([]);
    await container.remove();
  });

  test("twice at once, and after the end, gives the same exit", async () => {
    const container = await host.start(["sleep", "1000"]);
    const [first, second] = await Promise.all([
      container.stop({ signal: 15, graceMs: 1000 }),
      container.stop({ signal: 15, graceMs: 1000 }),
    ]);
    expect(second).toEqual(first);
    expect(await container.stop({ signal: 15, graceMs: 0 })).toEqual(first);
    await container.remove();
  });

  test("kills a frozen container", async () => {
    const container = await host.start(["sleep", "1000"]);
    const unified = layout.hierarchies.find((hierarchy) => hierarchy.version === 2);
    const freezer = layout.hierarchies.find((hierarchy) => hierarchy.controllers.includes("freezer"));
    const path = join((unified ?? freezer)?.path ?? "", host.cgroupParent, container.id);
    if (unified === undefined) appendFileSync(join(path, "freezer.state"), "FROZEN");
    else {
      appendFileSync(join(path, "cgroup.freeze"), "1");
      await eventually(() => readFileSync(join(path, "cgroup.events"), "utf8").includes("frozen 1"));
    }
    const exit = await container.stop({ signal: 15, graceMs: 0 });
    expect(exit.signal).toBe(9);
    expect(processExists(container.pid ?? 0)).toBe(false);
    await container.remove();
  });

  test("orphans inside are reaped, not kept as zombies", async () => {
    const container = await host.start([
      "sh",
      "-c",
      "for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep 0.01 & exit 0'; done; sleep 0.2; ps -o stat | grep -c Z; exit 0",
    ]);
    await container.exited;
    expect(await outputOf(container)).toBe("0\n");
    await container.remove();
  });
});

describe("remove", () => {
  test("refuses a running container, works on an ended one, and again", async () => {
    const container = await host.start(["sleep", "1000"]);
    await expect(container.remove()).rejects.toMatchObject({ error: { stage: "state.remove", code: "EBUSY" } });
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
    await container.remove();
    expect(existsSync(join(host.stateDir, container.id))).toBe(false);
    expect(host.cgroupsOf(container.id)).toEqual([]);
  });

  test("copes with whatever a container left: odd names, no permissions, depth", async () => {
    const container = await host.start(["leave"], { layers: [tools, host.image] });
    expect(await container.exited).toMatchObject({ code: 0 });
    await container.remove();
    expect(existsSync(join(host.stateDir, container.id))).toBe(false);
  });
});
