// What containers wrote becomes archives and images: of one that runs, paused meanwhile, and of one that ended; also when the
// agent is killed in the middle. What real tools say of the images.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AllocationId, Chunk, ImageRequest, JobSpec } from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";
import { imageOperations } from "./testing/image-operations.ts";

const folder = mkdtempSync(join(tmpdir(), "berth-written-"));
let made: TestCluster;
let agent: AgentProcess;
const start = async (): Promise<void> => {
  agent = await made.welcomeAgent();
};
beforeAll(async () => {
  made = await startCluster();
  await start();
});
afterAll(async () => {
  await made.close();
  rmSync(folder, { recursive: true, force: true });
});

const stdoutOf = (id: AllocationId): Promise<string> => made.scheduler.stdoutOf(id, "");
const place = (script: string, more: Partial<JobSpec> = {}): AllocationId => {
  const id = made.scheduler.place(testSpec(script === "" ? [] : ["sh", "-c", script], more));
  made.scheduler.publish();
  return id;
};
const says = (id: AllocationId, word: string) =>
  eventually(
    `${id} says ${word}`,
    async () => (await stdoutOf(id)).includes(word),
    () => `${JSON.stringify(made.scheduler.reports)}\n${agent.log.join("\n")}`,
  );
const ended = (id: AllocationId) =>
  eventually(
    `the end of ${id}`,
    () => made.scheduler.end(id),
    () => agent.log.join("\n"),
  );

const { begin, perform } = imageOperations(() => made.scheduler);
const commit = async (allocation: AllocationId, image: string): Promise<void> => {
  const done = await perform({ kind: "commit", allocation, image, pause: true });
  expect([done.state, done.error, done.result]).toEqual(["succeeded", null, { kind: "brought", images: [image] }]);
};
/** An archive that is read in pieces, as a file. */
const received = async (request: ImageRequest): Promise<string> => takeRest(await begin(request));
const takeRest = async (id: string, ...parts: Buffer[]): Promise<string> => {
  for (let offset = Buffer.concat(parts).length; ;) {
    const reply = await made.scheduler.rpc({ kind: "image_read", id, offset });
    if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
    const { data, done } = reply.value as Chunk;
    parts.push(Buffer.from(data, "base64"));
    offset += parts.at(-1)?.length ?? 0;
    if (done) break;
  }
  const file = join(folder, `received-${id}.tar`);
  writeFileSync(file, Buffer.concat(parts));
  return file;
};

const WRITE =
  "mkdir /new; echo one > /new/file; ln /new/file /new/same; rm /etc/shells; rm -r /srv; mkdir /srv; chown 1000 /new/file";

test("one that ended: an image that runs with its files, owners and deletions, and is an image to umoci and skopeo", async () => {
  const id = place(`${WRITE}; exit 3`);
  await ended(id);
  await commit(id, "oci://local/default/made:1");
  const again = place("cat /new/same; stat -c %u:%h /new/file; ls /etc/shells /srv; touch /new/mine", {
    image: "oci://local/default/made:1",
  });
  await ended(again);
  expect(await stdoutOf(again)).toBe("one\n1000:2\n/srv:\n");
  // A second one on top, of what that left.
  await commit(again, "oci://local/default/made:2");
  const layout = join(folder, "layout");
  mkdirSync(layout);
  execFileSync("tar", [
    "-xf",
    await received({ kind: "export", image: "oci://local/default/made:2", format: "oci" }),
    "-C",
    layout,
  ]);
  const raw = execFileSync("skopeo", ["inspect", "--config", `oci:${layout}`], { encoding: "utf8" });
  const config = JSON.parse(raw) as { config: { Cmd: string[] }; rootfs: { diff_ids: string[] } };
  expect(config.rootfs.diff_ids).toHaveLength(3);
  expect(config.config.Cmd.slice(0, 2)).toEqual(["sh", "-c"]);
  execFileSync("skopeo", ["copy", "-q", "--insecure-policy", `oci:${layout}`, `oci:${join(folder, "copy")}:two`]);
  execFileSync("umoci", ["unpack", "--image", `${join(folder, "copy")}:two`, join(folder, "bundle")]);
  const root = join(folder, "bundle", "rootfs");
  expect([
    existsSync(join(root, "etc/shells")),
    existsSync(join(root, "new/mine")),
    readdirSync(join(root, "srv")),
  ]).toEqual([false, true, []]);
  expect(readFileSync(join(root, "new/same"), "utf8")).toBe("one\n");
  const checked = await perform({ kind: "check", repair: false });
  expect(checked.result).toMatchObject({ kind: "checked", faults: [] });
});

test("one that runs stands still while it is read, goes on afterwards, and its root is an archive", async () => {
  const id = place(`${WRITE}; echo ready; i=0; while :; do i=$((i+1)); echo $i >> /new/a; echo $i >> /new/b; done`);
  await says(id, "ready");
  const file = await received({ kind: "root", allocation: id, pause: true });
  const linesOf = (path: string): number => read(path).split("\n").length - 1;
  const read = (path: string): string => execFileSync("tar", ["-xOf", file, path], { encoding: "utf8" });
  // a is written before b: whoever reads one moment never sees more than one step between them.
  expect(linesOf("new/a") - linesOf("new/b")).toBeLessThanOrEqual(1);
  expect(linesOf("new/a") - linesOf("new/b")).toBeGreaterThanOrEqual(0);
  const names = execFileSync("tar", ["-tf", file], { encoding: "utf8" }).split("\n");
  for (const name of ["bin/busybox", "new/same", "srv/"]) expect(names).toContain(name);
  expect(names).not.toContain("etc/shells");
  await commit(id, "oci://local/default/running:1");
  const counted = async () => {
    const reply = await made.scheduler.rpc({ kind: "changes", allocation: id, after: null });
    return reply.ok;
  };
  expect(await counted()).toBe(true);
  const before = linesOf("new/a");
  const later = await received({ kind: "root", allocation: id, pause: false });
  const after = execFileSync("tar", ["-xOf", later, "new/a"], { encoding: "utf8" }).split("\n").length - 1;
  expect(after).toBeGreaterThan(before);
});

test("killed while it has a container paused, the next agent lets it go on; what was kept is still there", async () => {
  const over = place("echo kept > /root/kept");
  await ended(over);
  // More than a reader that stops takes: it stays paused until somebody reads on.
  const id = place(
    "dd if=/dev/urandom of=/root/large bs=1M count=8 2>/dev/null; echo ready; while :; do date +%s%N > /root/now; done",
  );
  await says(id, "ready");
  await made.scheduler.rpc({
    kind: "image_read",
    id: await begin({ kind: "root", allocation: id, pause: true }),
    offset: 0,
  });
  expect(readdirSync(join(made.dataDir, "pauses"))).toEqual([id]);
  await agent.kill("SIGKILL");
  await start();
  expect(agent.log.some((line) => line.includes("container.resumed"))).toBe(true);
  expect(readdirSync(join(made.dataDir, "pauses"))).toEqual([]);
  const now = async () =>
    execFileSync("tar", [
      "-xOf",
      await received({ kind: "root", allocation: id, pause: false }),
      "root/now",
    ]).toString();
  const first = await now();
  await eventually("it writes again", async () => (await now()) !== first);
  await commit(over, "oci://local/default/after:1");
});

const LARGE =
  "mkdir /root/a /root/z; dd if=/dev/urandom of=/root/a/large bs=1M count=8 2>/dev/null; echo end > /root/z/end";
const firstPiece = async (operation: string): Promise<Buffer> => {
  const reply = await made.scheduler.rpc({ kind: "image_read", id: operation, offset: 0 });
  if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
  return Buffer.from((reply.value as Chunk).data, "base64");
};

test("one that ends while it is read is read to its end: nobody takes it from under the reader", async () => {
  const id = place(`${LARGE}; echo ready; while [ ! -e /root/go ]; do sleep 0.1; done`);
  await says(id, "ready");
  const operation = await begin({ kind: "root", allocation: id, pause: false });
  const first = await firstPiece(operation);
  made.scheduler.wish(id, "stop");
  made.scheduler.publish();
  await ended(id);
  const refused = await made.scheduler.rpc({ kind: "layer_remove", allocation: id });
  expect(refused).toMatchObject({ ok: false, problem: { code: "request.too_many" } });
  const file = await takeRest(operation, first);
  expect(execFileSync("tar", ["-xOf", file, "root/z/end"], { encoding: "utf8" })).toBe("end\n");
  expect(await made.scheduler.rpc({ kind: "layer_remove", allocation: id })).toMatchObject({
    value: { removed: true },
  });
});

test("an agent that leaves while it has a container paused lets it go on first", async () => {
  const id = place(`${LARGE}; echo ready; exec sleep 1000`);
  await says(id, "ready");
  await firstPiece(await begin({ kind: "root", allocation: id, pause: true }));
  expect(readdirSync(join(made.dataDir, "pauses"))).toEqual([id]);
  await agent.kill("SIGTERM");
  expect(readdirSync(join(made.dataDir, "pauses"))).toEqual([]);
  await start();
  expect(agent.log.some((line) => line.includes("container.resumed"))).toBe(false);
});

test("what is not there is said, and an image with a digest in its name is refused", async () => {
  const id = place("true");
  await ended(id);
  const nothing = await perform({ kind: "commit", allocation: id, image: "oci://local/default/x:1", pause: true });
  expect([nothing.state, nothing.error]).toEqual(["failed", expect.stringContaining("does not keep what")]);
  const wrote = place("echo x > /root/x");
  await ended(wrote);
  const digest = `oci://local/default/x@sha256:${"a".repeat(64)}`;
  const named = await perform({ kind: "commit", allocation: wrote, image: digest, pause: true });
  expect(named.error).toContain("name it by a tag");
});

const snapshot = (allocation: AllocationId, name: string): ImageRequest => ({
  kind: "snapshot",
  allocation,
  image: `oci://local/default/snapshots/test:0.${name}`,
});
const refusedAs = async (request: ImageRequest): Promise<string> => {
  // What is refused takes no id.
  const reply = await made.scheduler.rpc({ kind: "image_start", id: "operation-refused-0", request });
  return reply.ok ? "taken" : reply.problem.code;
};

test("a snapshot: of one that ended or that a user paused, under a new name, within what a project may keep", async () => {
  const id = place("echo x > /root/x; echo ready; exec sleep 1000");
  await says(id, "ready");
  expect(await refusedAs(snapshot(id, "running"))).toBe("allocation.running");
  expect(await made.scheduler.rpc({ kind: "pause", allocation: id })).toEqual({ ok: true, value: {} });
  const taken = await perform(snapshot(id, "paused"));
  expect([taken.state, taken.error]).toEqual(["succeeded", null]);
  expect(await refusedAs(snapshot(id, "paused"))).toBe("snapshot.exists");
  writeFileSync(join(made.dataDir, "images.json"), JSON.stringify({ projectImages: { count: 1 } }));
  const beyond = await perform(snapshot(id, "more"));
  expect([beyond.state, beyond.error]).toEqual(["failed", expect.stringContaining("at most 1 are kept")]);
  writeFileSync(join(made.dataDir, "images.json"), JSON.stringify({ projectImages: { size: "1" } }));
  const large = await perform(snapshot(id, "large"));
  expect([large.state, large.error]).toEqual(["failed", expect.stringContaining("remove some")]);
  rmSync(join(made.dataDir, "images.json"));
  // It still stands: nothing of this let it go on.
  expect(await refusedAs(snapshot(id, "still"))).toBe("taken");
});

/** Names in the store that begin so: of what is being taken, and of what is being unpacked. */
const halves = (): { readonly taken: string[]; readonly unpacked: string[] } => {
  const inside = (part: string, start: string): string[] =>
    readdirSync(join(made.dataDir, "images/oci", part, "sha256")).filter((name) => name.startsWith(start));
  return { taken: inside("blobs", ".taking-"), unpacked: inside("layers", ".half-") };
};

test(
  "killed while it makes a snapshot: nothing is half there, what stood still stands still, and it can be made then",
  { timeout: 180_000 },
  async () => {
    const id = place("dd if=/dev/urandom of=/root/large bs=1M count=48 2>/dev/null; echo ready; exec sleep 1000");
    await says(id, "ready");
    await made.scheduler.rpc({ kind: "pause", allocation: id });
    const image = "oci://local/default/snapshots/test:0.killed";
    for (const half of ["taken", "unpacked"] as const) {
      await begin(snapshot(id, "killed"));
      for (const endMs = performance.now() + 20_000; halves()[half].length === 0; await setImmediate()) {
        expect(performance.now(), half).toBeLessThan(endMs);
      }
      await agent.kill("SIGKILL");
      await start();
      expect(halves(), half).toEqual({ taken: [], unpacked: [] });
      expect((await made.scheduler.rpc({ kind: "image", image })).ok, half).toBe(false);
      const checked = await perform({ kind: "check", repair: false });
      expect(checked.result, half).toMatchObject({ kind: "checked", faults: [] });
    }
    const done = await perform(snapshot(id, "killed"));
    expect([done.state, done.error]).toEqual(["succeeded", null]);
    const again = place("stat -c %s /root/large", { image });
    await ended(again);
    expect(await stdoutOf(again)).toBe(`${48 * 2 ** 20}\n`);
  },
);
