// A data directory on a file system whose mounts cannot map ids: containers get copies of their layers with ids of their own,
// for as long as they are there; also when the agent is killed while it makes them.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AllocationId } from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";
import { imageOperations } from "./testing/image-operations.ts";
import { pushImage, startRegistry, type TestRegistry } from "./testing/registry.ts";

const folder = mkdtempSync(join(tmpdir(), "berth-shifted-"));
let made: TestCluster;
let agent: AgentProcess;
let registry: TestRegistry;
let images: string;
const start = async (): Promise<void> => {
  agent = await made.welcomeAgent();
};

beforeAll(async () => {
  registry = await startRegistry(join(folder, "registry"));
  made = await startCluster();
  images = join(made.dataDir, "images");
  // The kernel maps ids of no overlay; what containers write lies outside of it, as it has to.
  for (const name of ["lower", "upper", "work"]) mkdirSync(join(folder, name));
  mkdirSync(images, { recursive: true });
  const options = ["lower", "upper", "work"].map((name) => `${name}dir=${join(folder, name)}`).join(",");
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", options, images]);
  await start();
});
afterAll(async () => {
  await agent.kill("SIGKILL");
  await eventually("the end of the mount", () => {
    try {
      execFileSync("umount", [images], { stdio: "pipe" });
      return true;
    } catch {
      return undefined;
    }
  });
  await made.close();
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

const place = (image: string, script: string): AllocationId => {
  const id = made.scheduler.place(testSpec(["/bin/busybox", "sh", "-c", script], { image }));
  made.scheduler.publish();
  return id;
};
const saidBy = (id: AllocationId): Promise<string> => made.scheduler.stdoutOf(id, "");
const says = (id: AllocationId, word: string) =>
  eventually(
    `${id} says ${word}`,
    async () => (await saidBy(id)).includes(word),
    () => `${JSON.stringify(made.scheduler.reports)}\n${agent.log.join("\n")}`,
  );
const ended = (id: AllocationId) => eventually(`the end of ${id}`, () => made.scheduler.end(id));
/** Ranges that have copies, of images and of the builtin one. */
const copies = (): string[] => readdirSync(join(images, "oci/shifted")).filter((name) => !name.startsWith("."));
const gone = (what: string) => eventually(`the end of ${what}`, () => (copies().length === 0 ? true : undefined));

const { perform } = imageOperations(() => made.scheduler);
const check = async () => (await perform({ kind: "check", repair: false })).result;

test("two containers of one image: each has a copy with its own ids, which goes with it", async () => {
  const busybox = {
    "bin/busybox": execFileSync("cat", ["/bin/busybox"], { maxBuffer: 2 ** 24 }),
    "etc/mine": "mine\n",
  };
  pushImage(folder, `${registry.host}/app:1`, { layers: [busybox, { "etc/more": "more\n" }] });
  const image = `oci://${registry.host}/app:1`;
  const script =
    "/bin/busybox stat -c '%u:%g' /etc/mine / ; echo x > /etc/mine && /bin/busybox cat /etc/mine /etc/more; sleep 600";
  const both = [place(image, `${script}`), place(image, script)];
  for (const id of both) await says(id, "x\nmore\n");
  for (const id of both) expect(await saidBy(id)).toBe("0:0\n0:0\nx\nmore\n");
  const ranges = copies();
  expect(ranges).toHaveLength(2);
  for (const range of ranges) {
    const trees = readdirSync(join(images, "oci/shifted", range, "sha256")).filter((name) => !name.endsWith(".seal"));
    expect(trees).toHaveLength(2);
    const owner = statSync(join(images, "oci/shifted", range, "sha256", trees[0] ?? "", "etc"));
    expect([owner.uid, owner.gid]).toEqual([Number(range), Number(range)]);
  }
  // Counted and verified beside the two that all share.
  expect(await check()).toMatchObject({ kind: "checked", layers: 6, faults: [] });
  // Another life of the agent finds them in use.
  await agent.kill("SIGKILL");
  await start();
  expect(copies()).toEqual(ranges);
  for (const id of both) made.scheduler.wish(id, "stop");
  made.scheduler.publish();
  for (const id of both) await ended(id);
  await gone("the copies");
  expect(await check()).toMatchObject({ layers: 2, faults: [] });
});

test("the builtin image as well", async () => {
  const id = place("builtin://busybox", "stat -c '%u:%g %a' /root /tmp; touch /etc/new && echo written");
  await ended(id);
  expect(await saidBy(id)).toBe("0:0 700\n0:0 1777\nwritten\n");
  await gone("its copy");
});

test("killed at any point of the copying: no half copy is used or left", { timeout: 120_000 }, async () => {
  const files = Object.fromEntries(
    Array.from({ length: 60 }, (_, at) => [`data/${at}`, randomBytes(2 ** 20)] as const),
  );
  const busybox = { "bin/busybox": execFileSync("cat", ["/bin/busybox"], { maxBuffer: 2 ** 24 }) };
  pushImage(folder, `${registry.host}/large:1`, { layers: [busybox, files] });
  const image = `oci://${registry.host}/large:1`;
  await perform({ kind: "pull", image });
  const ids: AllocationId[] = [];
  for (let round = 0; round < 4; round += 1) {
    const before = copies().length;
    ids.push(place(image, "/bin/busybox find /data -type f | /bin/busybox wc -l; sleep 600"));
    await eventually("a copy begins", () => (copies().length > before ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, round * 40));
    await agent.kill("SIGKILL");
    await start();
  }
  for (const id of ids) await says(id, "60\n");
  for (const range of copies()) {
    const names = readdirSync(join(images, "oci/shifted", range, "sha256"));
    expect(names.filter((name) => name.startsWith(".half-"))).toEqual([]);
    for (const tree of names.filter((name) => !name.endsWith(".seal"))) expect(names).toContain(`${tree}.seal`);
  }
  expect(await check()).toMatchObject({ faults: [] });
  for (const id of ids) made.scheduler.wish(id, "stop");
  made.scheduler.publish();
  for (const id of ids) await ended(id);
  await gone("the copies");
  expect(existsSync(join(images, "oci/layers"))).toBe(true);
});
