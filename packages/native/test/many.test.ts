/** Many containers at once and one after the other: all of them work, and the host is afterwards as before. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually, layout, outputOf, processesWith, slow, testHost } from "./host.ts";

const host = testHost();

const footprint = () => ({
  descriptors: readdirSync("/proc/self/fd").length,
  mounts: readFileSync("/proc/self/mountinfo", "utf8").split("\n").length,
  cgroups: layout.hierarchies.map(
    (hierarchy) =>
      readdirSync(join(hierarchy.path, host.cgroupParent), { withFileTypes: true }).filter((entry) =>
        entry.isDirectory(),
      ).length,
  ),
  supervisors: processesWith("berth-supervisor").filter(isOurs).length,
  zombies: readFileSync("/proc/self/task/" + process.pid + "/children", "utf8")
    .trim()
    .split(" ")
    .filter((pid) => pid !== "" && isZombie(pid)).length,
  state: readdirSync(host.stateDir),
});

/** What is deleted of a container a moment after it was removed is gone. */
const settled = async (): Promise<ReturnType<typeof footprint>> => {
  await eventually(() => footprint().state.every((name) => !name.startsWith(".trash-")));
  return footprint();
};

/** Other tests and agents of this machine have supervisors, too: whose one is says its fourth descriptor (control.h). */
const isOurs = (pid: number): boolean => {
  try {
    return readlinkSync(`/proc/${pid}/fd/4`).startsWith(host.stateDir);
  } catch {
    return false;
  }
};

const isZombie = (pid: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0] === "Z";
  } catch {
    return false;
  }
};

test("on ext4, what is written for one container does not search past what was deleted of others", async (context) => {
  const kind = execFileSync("stat", ["-f", "-c", "%T", host.stateDir], { encoding: "utf8" }).trim();
  context.skip(kind !== "ext2/ext3", `the state directory is on ${kind}`);
  const attributes = (path: string): string =>
    execFileSync("lsattr", ["-d", path], { encoding: "utf8" }).split(" ", 1)[0] ?? "";
  expect(attributes(host.stateDir)).toContain("T");
  const container = await host.start(["sleep", "1000"]);
  expect(attributes(join(host.stateDir, container.id, "upper"))).not.toContain("T");
  await container.stop({ signal: 9, graceMs: 10_000 });
  await container.remove();
});

describe("many containers", () => {
  test("fifty at once, each with its own output and exit, and nothing left of them", async () => {
    await host.run(["true"]);
    const before = await settled();
    const results = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const container = await host.start(["sh", "-c", `echo ${i}; exit ${i}`]);
        const exit = await container.exited;
        const stdout = await outputOf(container);
        await container.remove();
        return { code: exit.code, stdout };
      }),
    );
    expect(results).toEqual(Array.from({ length: 50 }, (_, i) => ({ code: i, stdout: `${i}\n` })));
    await eventually(() => JSON.stringify(footprint()) === JSON.stringify(before));
  });

  test("fifty that run at the same time have fifty pid namespaces and disjoint ids", async () => {
    const containers = await Promise.all(Array.from({ length: 50 }, () => host.start(["sleep", "1000"])));
    const maps = containers.map(
      (container) => readFileSync(`/proc/${container.pid}/uid_map`, "utf8").trim().split(/\s+/)[1],
    );
    expect(new Set(maps).size).toBe(50);
    const exits = await Promise.all(containers.map((container) => container.stop({ signal: 15, graceMs: 5000 })));
    expect(exits.every((exit) => exit.signal === 15)).toBe(true);
    await Promise.all(containers.map((container) => container.remove()));
  });

  test("a hundred and fifty one after the other leave nothing, failed starts included", async () => {
    const before = await settled();
    for (let i = 0; i < (slow ? 10 : 50); i += 1) {
      await host.run(["true"]);
      await host.runtime.start(host.spec(["no-such-program"]));
      await host.runtime.start(
        host.spec(["true"], { mounts: [{ source: "/nonexistent", target: "/x", readOnly: true }] }),
      );
    }
    await eventually(() => JSON.stringify(footprint()) === JSON.stringify(before));
  });

  test("the same id cannot run twice, and can be used again after removal", async () => {
    const spec = host.spec(["sleep", "1000"]);
    const first = await host.runtime.start(spec);
    expect(await host.runtime.start(spec)).toMatchObject({ ok: false, error: { stage: "state.lock", code: "EBUSY" } });
    if (!first.ok) throw new Error(first.error.detail);
    await first.value.stop({ signal: 9, graceMs: 0 });
    await first.value.remove();
    const again = await host.runtime.start({ ...spec, command: ["true"] });
    if (!again.ok) throw new Error(again.error.detail);
    expect(await again.value.exited).toMatchObject({ code: 0 });
    await again.value.remove();
  });
});
