/**
 * The main job on real input while its world is being killed. 24 shards hash the files below /usr/share; meanwhile agent,
 * scheduler and nats-server are killed with SIGKILL, each more than once. The result must be what the host computes, byte
 * for byte, and a witness inside the containers must have seen every one of them start exactly once.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parse } from "yaml";
import type { JobView } from "@berth/schema";
import { Cluster, eventually, kill, ROOT } from "./support/index.ts";

const cluster = new Cluster();
const work = mkdtempSync("/tmp/berth-e2e-checksums-");
afterAll(async () => {
  rmSync(work, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

const byPath = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.slice(66)), Buffer.from(b.slice(66))));

test("every shard exactly once, whatever dies", async () => {
  const witness = join(work, "witness");
  mkdirSync(witness);
  chmodSync(witness, 0o777);
  const document = parse(readFileSync(join(ROOT, "examples/checksums.yaml"), "utf8")) as {
    readonly command: readonly [string, string, string];
    readonly volumes: readonly object[];
  };
  const [shell, flag, script] = document.command;
  const up = await cluster.up("--host-path", "/usr/share:ro", "--host-path", work);
  await up.ready();
  const host = (await cluster.hosts())[0]?.id ?? "";

  await cluster.submit({
    ...document,
    // One file for each start: two starts of one allocation would make two.
    command: [shell, flag, `mktemp "/witness/$BERTH_ALLOCATION.XXXXXX" > /dev/null\n${script}`],
    volumes: [...document.volumes, { source: witness, target: "/witness" }],
  });

  const victims = {
    agent: () => cluster.daemons().agents,
    scheduler: () => cluster.daemons().scheduler,
    "nats-server": () => cluster.daemons().nats,
  };
  const killed: string[] = [];
  /** Kills it once it is there, and waits until another one is. */
  const killOne = async (name: keyof typeof victims): Promise<void> => {
    const victim = await eventually(`${name} runs`, () => victims[name]()[0]);
    kill(victim.pid, "SIGKILL");
    killed.push(name);
    await eventually(`another ${name}`, () => victims[name]().some((one) => one.pid !== victim.pid), 60_000);
  };
  /** Asks until somebody answers: in between nobody may. */
  const look = (): Promise<JobView> =>
    eventually("the job", () => cluster.job("checksums").catch(() => undefined), 60_000);
  const reached = (count: number) =>
    eventually(
      `${count} shards are done`,
      async () => {
        const { state, tasks } = await look();
        if (state === "failed") throw new Error(JSON.stringify(tasks));
        return tasks.succeeded >= count;
      },
      120_000,
    );

  const plan = ["agent", "scheduler", "nats-server", "agent", "scheduler", "nats-server"] as const;
  for (const [at, name] of plan.entries()) {
    await reached(1 + at * 3);
    await killOne(name);
  }
  const job = await cluster.finished("checksums", 240_000);
  expect(killed).toEqual([...plan]);
  expect(job).toMatchObject({ state: "succeeded", exitCode: 0, tasks: { succeeded: 24, failed: 0 } });

  const allocations = await cluster.allocations("&job=checksums");
  const ends = allocations.map(
    (one) => `${one.index} attempt ${one.attempt}: ${one.state} ${one.exit?.cause} ${one.exit?.code}`,
  );
  expect(ends.toSorted()).toEqual(
    Array.from({ length: 24 }, (_, index) => `${index} attempt 1: exited exited 0`).toSorted(),
  );

  const starts = readdirSync(witness).map((name) => name.split(".")[0]);
  expect(starts.toSorted()).toEqual(allocations.map((one) => one.id as string).toSorted());
  expect(allocations.every((one) => one.hostId === host)).toBe(true);

  const results = join(work, "results", "out");
  await cluster.must(["outputs", "checksums", "--to", join(work, "results")]);
  expect(readdirSync(results)).toHaveLength(24);
  const ours = readdirSync(results)
    .map((name) => readFileSync(join(results, name), "utf8"))
    .join("");
  const theirs = execFileSync("sh", ["-c", "find /usr/share -type f -print0 | xargs -0 sha256sum"], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  expect(byPath(ours).length).toBeGreaterThan(1000);
  // Compared as wholes, so that a difference is shown by its first line and not by a megabyte.
  const [mine, host1] = [byPath(ours), byPath(theirs)];
  expect(mine.find((line, at) => line !== host1[at])).toBeUndefined();
  expect(mine.length).toBe(host1.length);
}, 600_000);
