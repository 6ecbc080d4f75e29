/** A disk that fills up under the store, by somebody else's file: on a small file system of its own. */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startFakeAgent } from "./testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "./testing/scheduler.ts";
import { afterTests, eventually, tempDir } from "./testing/temp.ts";

const smallDisk = (): string => {
  const directory = tempDir();
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=48m", "berth-test", directory]);
  afterTests(() => void execFileSync("umount", ["-l", directory]));
  return directory;
};

/** Takes every byte that is left. */
const fill = (path: string): void => {
  const file = openSync(path, "w");
  for (let size = 2 ** 20; size >= 1; size >>= 1) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
    }
  }
  closeSync(file);
};

/** At first the shortage is not known yet, and small writes may find room inside blocks that the store has. */
const refusedBy = (scheduler: TestScheduler): Promise<{ status: number; body: { code: string; detail: string } }> => {
  let count = 0;
  return eventually("a submission is refused", async () => {
    count += 1;
    const answer = await scheduler.call(
      "POST",
      "/v1/jobs",
      batch(`filler-${count}`, { env: { X: "x".repeat(20_000) } }),
    );
    return answer.status === 507 ? answer : undefined;
  });
};

test("a full disk refuses writes and says so; what runs goes on; with room it takes writes again, and nothing is lost", async () => {
  const dataDir = smallDisk();
  const scheduler = await startScheduler({ dataDir });
  const agent = await startFakeAgent(scheduler, { id: "h1", behave: () => ({ code: "forever" }) });
  await scheduler.call("POST", "/v1/jobs", batch("web", { kind: "service" }));
  const running = async (): Promise<boolean> =>
    (await scheduler.call("GET", "/v1/jobs/default/web")).body.tasks.running === 1;
  await eventually("it runs", running);
  const filler = join(dataDir, "filler");
  fill(filler);
  const refused = await refusedBy(scheduler);
  expect(refused).toMatchObject({ status: 507, body: { code: "log.full" } });

  expect(await running()).toBe(true);
  expect(agent.started).toHaveLength(1);
  // What must be written even so meets the full disk: the server hangs, and is started anew once there is room.
  const hung = scheduler.natsPid();
  await eventually("an append fails", async () => {
    const answer = await scheduler.call("POST", "/v1/jobs", batch("try"), { "idempotency-key": "try" });
    expect(answer.status).toBe(507);
    return (await scheduler.call("POST", "/v1/jobs/default/filler-1/stop")).status === 503;
  });
  expect(await running()).toBe(true);
  rmSync(filler);
  await eventually(
    "it takes writes again",
    async () => {
      const answer = await scheduler.call("POST", "/v1/jobs", batch("after"), { "idempotency-key": "after" });
      return answer.status < 300;
    },
    40_000,
  );
  expect(scheduler.natsPid()).not.toBe(hung);
  const before = ((await scheduler.call("GET", "/v1/jobs?limit=1000")).body.items as { name: string }[]).map(
    ({ name }) => name,
  );
  await scheduler.running.close();
  const again = await startScheduler({ dataDir });
  const after = ((await again.call("GET", "/v1/jobs?limit=1000")).body.items as { name: string }[]).map(
    ({ name }) => name,
  );
  expect(after).toEqual(before);
}, 120_000);
