/** Images from another host: two real stores, and a line between them that can do what a bad one does. */
import { randomBytes } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { err, problem, type LayerProgress } from "@berth/schema";
import { NO_PROGRESS } from "../../core/images/progress.ts";
import type { ClusterImages } from "../../ports/images.ts";
import { archiveImage } from "../../testing/registry.ts";
import { openImageSettings } from "./image-settings.ts";
import { openRegistrySettings } from "./registry-settings.ts";
import { openOciStore, type OciStore } from "./store.ts";

const never = new AbortController().signal;
const work = { progress: NO_PROGRESS, signal: never };
const image = "oci://local/app:1";
let directory: string;
let giver: OciStore;
/** How the line treats an answer. */
let spoil: (
  read: ReturnType<ClusterImages["read"]>,
  offset: number,
  count: number,
) => ReturnType<ClusterImages["read"]>;
let reads: number;

const open = (name: string, cluster?: ClusterImages): Promise<OciStore> =>
  openOciStore(
    join(directory, name),
    openRegistrySettings(join(directory, "registries.json")),
    openImageSettings(join(directory, `${name}.json`)),
    cluster,
  );
const others: ClusterImages = {
  find: async (name) => {
    const found = await giver.inspect(name);
    return found === undefined ? undefined : { manifest: found.manifest, imported: found.source === "import" };
  },
  read: (_name, digest, offset) => {
    reads += 1;
    const read = giver
      .blob(digest, offset)
      .then((piece) =>
        piece === undefined ? err(problem("image.not_found", "gone")) : { ok: true as const, value: piece },
      );
    return spoil(read, offset, reads);
  },
};
const offer = async (content: string, size = 3 * 2 ** 20, name = image): Promise<void> => {
  const archive = join(directory, "image.tar");
  archiveImage(directory, archive, { layers: [{ "etc/motd": content, "srv/data": randomBytes(size) }] });
  await giver.take(createReadStream(archive), { ...work, name });
};
const motd = async (store: OciStore, holder: string): Promise<string> => {
  const { layers } = await store.prepare(image, holder, { signal: never });
  return readFileSync(join(layers[0] ?? "", "etc/motd"), "utf8");
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "berth-cluster-images-"));
  reads = 0;
  spoil = (read) => read;
  giver = await open("giver");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("what another host has imported comes from there, once for all who wait, and is not kept twice", async () => {
  await offer("one");
  const reader = await open("reader", others);
  const all = await Promise.all(["a", "b", "c"].map((holder) => motd(reader, holder)));
  expect(all).toEqual(["one", "one", "one"]);
  /* 3 MiB in pieces of 512 KiB, manifest and configuration; nothing twice. */
  expect(reads).toBeLessThanOrEqual(10);
  expect(await reader.list()).toMatchObject([{ name: image, source: "cluster" }]);
  /* The archive is dropped once its tree is there: manifest and configuration stay. */
  expect(readdirSync(join(directory, "reader/blobs/sha256"))).toHaveLength(2);
});

test("how far it is can be seen while somebody waits for it, and how fast it came afterwards", async () => {
  await offer("one");
  const reader = await open("reader", others);
  let seen: readonly LayerProgress[] = [];
  spoil = async (read) => {
    if (!seen.some(({ phase }) => phase === "fetching")) seen = reader.bringing(image);
    return read;
  };
  expect([reader.bringing(image), await reader.facts.held(), reader.facts.fetchRates().cluster]).toEqual([
    [],
    [],
    null,
  ]);
  const before = reader.facts.heldChanges();
  await motd(reader, "a");
  expect(seen).toMatchObject([{ phase: "fetching", totalBytes: expect.any(Number) }]);
  expect(reader.bringing(image)).toEqual([]);
  expect(reader.facts.heldChanges()).toBeGreaterThan(before);
  expect(await reader.facts.held()).toMatchObject([
    { name: image, source: "cluster", layers: [{ bytes: seen[0]?.totalBytes }] },
  ]);
  expect(reader.facts.fetchRates().cluster).toBeGreaterThan(0);
});

test("an image that is imported again is taken again; with nobody to ask, what is here will do", async () => {
  await offer("one");
  const reader = await open("reader", others);
  expect(await motd(reader, "a")).toBe("one");
  await offer("two");
  expect(await motd(reader, "b")).toBe("two");
  const alone = await open("reader", { ...others, find: () => Promise.resolve(undefined) });
  expect(await motd(alone, "c")).toBe("two");
});

test("bytes that do not fit their digest are never believed: they are asked for once more", async () => {
  await offer("one");
  const reader = await open("reader", others);
  let spoiled = 0;
  spoil = async (read, offset) => {
    const answer = await read;
    if (!answer.ok || offset !== 524_288 || spoiled > 0) return answer;
    spoiled += 1;
    return { ok: true, value: { ...answer.value, bytes: Buffer.alloc(answer.value.bytes.length, 7) } };
  };
  expect(await motd(reader, "a")).toBe("one");
  expect(spoiled).toBe(1);
  /* All of the layer came twice: nothing of what did not fit was kept. */
  expect(reads).toBeGreaterThan(14);
});

test("a transfer that breaks off goes on where it ended", async () => {
  await offer("one");
  const reader = await open("reader", others);
  let broken = 0;
  const offsets: number[] = [];
  spoil = (read, offset, count) => {
    if (count >= 8 && broken === 0) {
      broken += 1;
      return Promise.resolve(err(problem("cluster.unreachable", "the line broke")));
    }
    offsets.push(offset);
    return read;
  };
  expect(await motd(reader, "a")).toBe("one");
  expect(broken).toBe(1);
  /* The first pieces of the layer were asked for once: it did not begin anew. */
  expect(offsets.filter((offset) => offset === 524_288)).toHaveLength(1);
});

test("no more comes in a second than images.json allows", async () => {
  await offer("one", 1_500_000);
  writeFileSync(join(directory, "reader.json"), JSON.stringify({ clusterBandwidth: "1Mi" }));
  const reader = await open("reader", others);
  const begin = performance.now();
  expect(await motd(reader, "a")).toBe("one");
  /* One MiB is saved up; the rest of 1.43 MiB has to wait. */
  expect(performance.now() - begin).toBeGreaterThan(350);
});

test("a name of the cluster that no host has says so", async () => {
  const reader = await open("reader", others);
  await expect(reader.prepare(image, "a", { signal: never })).rejects.toThrow(
    `no other host that answers has ${image}`,
  );
});

test("an image of another host can be exported: its archives come from there", async () => {
  await offer("one", 1000);
  const reader = await open("reader", others);
  await motd(reader, "a");
  let size = 0;
  for await (const bytes of reader.give(image, "oci", work)) size += bytes.length;
  expect(size).toBeGreaterThan(1000);
});

test("above the high mark, what was not used for longest goes until the low mark; what is in use stays", async () => {
  const names = [1, 2, 3, 4].map((tag) => `oci://local/app:${tag}`);
  for (const name of names) await offer(name, 1_000_000, name);
  writeFileSync(join(directory, "reader.json"), JSON.stringify({ highWater: "3500Ki", lowWater: "2500Ki" }));
  const reader = await open("reader", others);
  const [first = "", second = "", third = "", fourth = ""] = names;
  await reader.prepare(first, "stays", { signal: never });
  for (const name of [second, third]) {
    await reader.prepare(name, "passes", { signal: never });
    await reader.release("passes");
  }
  expect((await reader.list()).map(({ name }) => name)).toEqual([first, second, third]);
  await reader.prepare(fourth, "comes", { signal: never });
  expect((await reader.list()).map(({ name }) => name)).toEqual([first, fourth]);
  expect((await reader.check(false, work)).faults).toEqual([]);
});

test("what the cluster says that a name stands for, and nothing else: not what hosts say, not what is here under it", async () => {
  const manifestOf = async (store: OciStore): Promise<string> => (await store.inspect(image))?.manifest ?? "";
  const pinned = async (store: OciStore, holder: string, manifest: string): Promise<string> => {
    const { layers } = await store.prepare(image, holder, { signal: never, manifest });
    return readFileSync(join(layers[0] ?? "", "etc/motd"), "utf8");
  };
  await offer("first");
  const first = await manifestOf(giver);
  const reader = await open("reader", others);
  expect(await pinned(reader, "a", first)).toBe("first");
  expect(await pinned(reader, "b", first)).toBe("first");
  const asked = reads;

  // Everybody who answers says another thing now: what is here under the name is still what was said.
  await offer("second");
  const second = await manifestOf(giver);
  expect(await pinned(reader, "c", first)).toBe("first");
  expect(reads).toBe(asked);
  // And once it was said, it is that.
  expect(await pinned(reader, "d", second)).toBe("second");

  // What was imported here under the name stays, and is not what is started.
  const own = await open("own", others);
  const archive = join(directory, "own.tar");
  archiveImage(directory, archive, { layers: [{ "etc/motd": "own" }] });
  await own.take(createReadStream(archive), { ...work, name: image });
  const mine = await manifestOf(own);
  expect(await pinned(own, "a", second)).toBe("second");
  expect(await pinned(own, "b", second)).toBe("second");
  expect(await manifestOf(own)).toBe(mine);
  expect(await pinned(own, "c", mine)).toBe("own");

  // Who gives something else for it is not believed; what is not there is said.
  const other = await open("other", { ...others, read: (name, _digest, offset) => others.read(name, second, offset) });
  await expect(pinned(other, "a", first)).rejects.toThrow(/sha256/);
  expect(await other.list()).toEqual([]);
  const missing = await open("missing", others);
  await expect(pinned(missing, "a", `sha256:${"9".repeat(64)}`)).rejects.toThrow(
    `no other host gave sha256:${"9".repeat(64)}`,
  );
});
