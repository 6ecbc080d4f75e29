// What a real container changed of its image, also while it does its worst to lead whoever looks elsewhere.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AllocationId, Change, ChangeList } from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";

let made: TestCluster;
let agent: AgentProcess;
beforeAll(async () => {
  made = await startCluster();
  agent = await made.welcomeAgent();
});
afterAll(() => made.close());

/** Runs `script`, which says "ready" when it has done its part. */
const started = async (script: string): Promise<AllocationId> => {
  const id = made.scheduler.place(testSpec(["sh", "-c", `${script}`]));
  made.scheduler.publish();
  await eventually(
    `${id} is ready`,
    async () => {
      const op = {
        kind: "read",
        allocation: id,
        file: { kind: "stdout" },
        offset: 0,
        maxBytes: 100,
        waitMs: 0,
      } as const;
      const reply = await made.scheduler.rpc(op);
      return reply.ok && Buffer.from((reply.value as { data: string }).data, "base64").toString() === "ready\n";
    },
    () => `${JSON.stringify(made.scheduler.reports)}\n${agent.log.join("\n")}`,
  );
  return id;
};

const page = async (allocation: AllocationId, after: string | null): Promise<ChangeList> => {
  const reply = await made.scheduler.rpc({ kind: "changes", allocation, after });
  if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
  return reply.value as ChangeList;
};

const all = async (id: AllocationId): Promise<{ readonly pages: number; readonly changes: Change[] }> => {
  const changes: Change[] = [];
  let after: string | null = null;
  for (let pages = 1; ; pages += 1) {
    const { changes: more, next }: ChangeList = await page(id, after);
    changes.push(...more);
    if (next === null) return { pages, changes };
    after = next;
  }
};

const lines = (changes: readonly Change[]): string[] =>
  changes.map(({ change, path, type }) => `${change} ${path}${type === null ? "" : ` ${type}`}`);

test("what is new, what is changed, what is deleted; a directory that was made anew hides what it had", async () => {
  const id = await started(`
    mkdir /new && printf 12345 > /new/file && ln -s /etc /new/link && mkfifo /new/fifo
    echo more >> /etc/hosts && rm /etc/shells && rm /etc/profile && echo again > /etc/profile
    rm -r /var && mkdir -p /var/log && echo fresh > /var/fresh
    rm -r /srv && echo file > /srv
    printf x > "$(printf '/mnt/line\\nbreak')" && printf x > "$(printf '/mnt/\\377\\\\')"
    echo ready; sleep 1000`);
  const { changes } = await all(id);
  expect(lines(changes)).toEqual([
    "changed /etc directory",
    "changed /etc/hosts file",
    "changed /etc/profile file",
    "deleted /etc/shells",
    "changed /mnt directory",
    "added /mnt/line\nbreak file",
    "added /mnt/\\xff\\\\ file",
    "added /new directory",
    "added /new/fifo fifo",
    "added /new/file file",
    "added /new/link symlink",
    "changed /srv file",
    "changed /var directory",
    "added /var/fresh file",
    "changed /var/log directory",
    "deleted /var/tmp",
  ]);
  expect(changes.find(({ path }) => path === "/new/file")?.sizeBytes).toBe(5);
});

test("many changes come in pages, each once and in order", async () => {
  const id = await started(`
    for d in a b c; do mkdir -p /tmp/$d/in; for i in $(seq 400); do : > /tmp/$d/in/$i; : > /tmp/$d/$i; done; done
    echo ready; sleep 1000`);
  const { pages, changes } = await all(id);
  const paths = changes.map(({ path }) => path);
  expect(pages).toBe(3);
  expect(paths).toHaveLength(1 + 3 * (2 + 800));
  expect(new Set(paths).size).toBe(paths.length);
  const first = await page(id, null);
  expect(first.changes).toHaveLength(1000);
});

test("a directory that becomes a link to elsewhere and back all the time shows nothing of elsewhere; depth has a bound", async () => {
  const id = await started(`
    mkdir -p /tmp/d/own && ln -s /etc /tmp/link
    (while :; do mv /tmp/d /tmp/x; mv /tmp/link /tmp/d; mv /tmp/d /tmp/link; mv /tmp/x /tmp/d; done) &
    echo ready; sleep 1000`);
  for (let count = 0; count < 60; count += 1) {
    for (const { path } of (await all(id)).changes) expect(path).toMatch(/^\/tmp(\/(d|x|link)(\/own)?)?$/);
  }
  const deep = await started(`
    cd /tmp && for i in $(seq 300); do mkdir d && cd d; done
    echo ready; sleep 1000`);
  const reply = await made.scheduler.rpc({ kind: "changes", allocation: deep, after: null });
  expect(reply).toMatchObject({ ok: false, problem: { code: "allocation.refused" } });
});

test("one that has ended is listed as it was left, until that is dropped; one that wrote nothing has nothing", async () => {
  const wrote = made.scheduler.place(testSpec(["sh", "-c", "echo x > /root/made; rm /etc/shells"]));
  const nothing = made.scheduler.place(testSpec(["true"]));
  made.scheduler.publish();
  await eventually("their ends", () => made.scheduler.end(wrote) && made.scheduler.end(nothing));
  expect(lines((await all(wrote)).changes)).toEqual([
    "changed /etc directory",
    "deleted /etc/shells",
    "changed /root directory",
    "added /root/made file",
  ]);
  const kept = await made.scheduler.rpc({ kind: "layers", offset: 0 });
  expect(kept).toMatchObject({
    ok: true,
    value: { items: [{ allocation: wrote, job: "test", index: 0 }], next: null },
  });
  expect(await made.scheduler.rpc({ kind: "layer_remove", allocation: wrote })).toEqual({
    ok: true,
    value: { removed: true },
  });
  for (const allocation of [wrote, nothing]) {
    const reply = await made.scheduler.rpc({ kind: "changes", allocation, after: null });
    expect(reply).toMatchObject({ ok: false, problem: { code: "allocation.not_kept" } });
  }
});
