/** What an operation needs whole is there until it lets go of it, whoever removes its name or collects meanwhile. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { NO_PROGRESS } from "../../core/images/progress.ts";
import { NEVER, Turns } from "../../core/turns.ts";
import { wholeImage } from "./archive-out.ts";
import { openBlobs } from "./blobs.ts";
import { prune, removeImage } from "./collect.ts";
import { PLAIN_LAYER } from "./documents.ts";
import { ArchivePins, Pins, type Parts } from "./parts.ts";
import { pushImage } from "./push.ts";
import { openRecords } from "./records.ts";

const NAME = "oci://registry.test/app:1";
const work = { progress: NO_PROGRESS, signal: NEVER };
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const diffId = digestOf(Buffer.from("the tree"));
const layer = Buffer.from("an archive");
const config = Buffer.from(
  JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [diffId] } }),
);
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      digest: digestOf(config),
      size: config.length,
    },
    layers: [{ mediaType: PLAIN_LAYER, digest: digestOf(layer), size: layer.length }],
  }),
);
const blobs = [manifest, config, layer].map(digestOf).toSorted();

let directory: string;
let trees: Set<string>;
let parts: Parts;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "berth-held-"));
  trees = new Set([diffId]);
  parts = {
    directory,
    blobs: await openBlobs(join(directory, "blobs")),
    records: await openRecords(join(directory, "records")),
    layers: {
      has: async (id: string) => trees.has(id),
      list: async () => [...trees],
      seal: async () => undefined,
      remove: async (id: string) => {
        trees.delete(id);
        return async () => undefined;
      },
    },
    uses: { holders: () => new Map() },
    pins: new Pins(),
    archives: new ArchivePins(),
    gate: new Turns(1),
    settings: async () => ({ keepArchives: "all" }),
  } as unknown as Parts;
  for (const bytes of [manifest, config, layer]) await parts.blobs.put(digestOf(bytes), bytes);
  await parts.records.write({
    version: 1,
    name: NAME,
    manifest: digestOf(manifest),
    diffIds: [diffId],
    defaults: { command: [], env: {}, workdir: "/", user: "", stopSignal: null },
    source: "registry",
  });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const blobsHere = async () => (await parts.blobs.list()).whole.toSorted();

test("an image that is removed while it is needed stays whole until then", async () => {
  const whole = await wholeImage(parts, NAME, work);
  await removeImage(parts, NAME);
  expect(await blobsHere()).toEqual(blobs);
  expect([...trees]).toEqual([diffId]);
  await whole.release();
  await prune(parts, false);
  expect(await blobsHere()).toEqual([]);
  expect(trees.size).toBe(0);
});

test("one that is removed before it is held is not there, whole or in part", async () => {
  let begun: Promise<unknown> = Promise.resolve();
  await parts.gate.run(NEVER, async () => {
    begun = wholeImage(parts, NAME, work).catch(String);
    // As long as reading a file takes, for whoever would read before it is their turn.
    for (let at = 0; at < 20; at += 1) await parts.records.read(NAME);
    await parts.records.remove(NAME);
  });
  expect(await begun).toBe(`Error: there is no image ${NAME} on this host`);
});

test("it gets no name of the cluster when a part of it is not here", async () => {
  trees.clear();
  const pushed = pushImage(parts, NAME, "oci://local/app:1", work);
  await expect(pushed).rejects.toThrow(`${diffId} is not here any more: pull or import the image again`);
  expect(await parts.records.read("oci://local/app:1")).toBeUndefined();
  trees.add(diffId);
  await pushImage(parts, NAME, "oci://local/app:1", work);
  expect(await parts.records.read("oci://local/app:1")).toMatchObject({ source: "import" });
});
