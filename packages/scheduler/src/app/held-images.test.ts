import { expect, test } from "vitest";
import type { Held, HeldImage, HostId } from "@berth/schema";
import { createHeldImages } from "./held-images.ts";

const id = (name: string): HostId => name as HostId;
const digest = (text: string): string => `sha256:${Buffer.from(text).toString("hex").padStart(64, "0")}`;
const image = (name: string, layers: Readonly<Record<string, number>>, more: Partial<HeldImage> = {}): HeldImage => ({
  ...{ name: `oci://r.lan/${name}`, manifest: digest(`m ${name}`), source: "registry" as const },
  layers: Object.entries(layers).map(([layer, bytes]) => ({ diffId: digest(layer), bytes })),
  ...more,
});
const told = (more: Partial<Held>): Held => ({
  ...{ session: "session-of-the-host", since: null, revision: 1, images: [], gone: [] },
  ...{ rates: { registry: null, cluster: null }, ...more },
});
const start = () => createHeldImages();

test("a host with some of the layers needs the others, and what they take by its own rate", () => {
  const held = start();
  held.take(id("a"), told({ images: [image("app:2", { base: 100_000_000, two: 5_000_000 })] }));
  const rates = { registry: 10_000_000, cluster: null };
  held.take(id("b"), told({ images: [image("app:1", { base: 100_000_000, one: 7_000_000 })], rates }));
  const need = held.of("oci://r.lan/app:2");
  expect(need?.holders).toEqual(["a"]);
  expect(need?.startOn(id("a"))).toEqual({ from: "here", fetchBytes: 0, startMs: 0 });
  expect(need?.startOn(id("b"))).toEqual({ from: "registry", fetchBytes: 5_000_000, startMs: 500 });
  // Nobody knows this one: by what is usual.
  expect(need?.startOn(id("c"))).toEqual({ from: "registry", fetchBytes: 105_000_000, startMs: 10_500 });
});

test("a name of the cluster comes from other hosts, at the rate of those; one of a registry from there, whoever imported it; nobody's image is unknown", () => {
  const held = start();
  const source = "import" as const;
  const own = image("app:1", { one: 4_000_000 }, { name: "oci://local/app:1", source });
  held.take(id("a"), told({ images: [own, image("app:1", { two: 5_000_000 }, { source })] }));
  expect(held.of("oci://local/app:1")?.startOn(id("b"))).toEqual({
    ...{ from: "cluster", fetchBytes: 4_000_000, startMs: null },
  });
  expect(held.of("oci://r.lan/app:1")?.startOn(id("b")).from).toBe("registry");
  expect(held.of("oci://r.lan/other:1")).toBeUndefined();
  expect(held.of("builtin://busybox")).toBeUndefined();
});

test("changes build on each other; whoever has missed one is told so, and then knows all again", () => {
  const held = start();
  expect(held.take(id("a"), told({ since: 4, revision: 5 }))).toBeNull();
  expect(held.take(id("a"), told({ images: [image("one:1", { x: 1 })] }))).toBe(1);
  expect(held.take(id("a"), told({ since: 1, revision: 2, images: [image("two:1", { y: 1 })] }))).toBe(2);
  expect(held.take(id("a"), told({ since: 2, revision: 3, gone: ["oci://r.lan/one:1"] }))).toBe(3);
  expect(held.of("oci://r.lan/one:1")).toBeUndefined();
  expect(held.of("oci://r.lan/two:1")?.holders).toEqual(["a"]);
  expect(held.take(id("a"), told({ since: 1, revision: 2 }))).toBeNull();
  expect(held.take(id("a"), told({ since: 3, revision: 4, session: "another-session-of-it" }))).toBeNull();
  expect(held.take(id("a"), told({ images: [image("three:1", { z: 1 })] }))).toBe(1);
  expect(held.of("oci://r.lan/two:1")).toBeUndefined();
});

test("two images under one name: the commoner one counts", () => {
  const held = start();
  for (const [host, manifest] of [
    ["a", "new"],
    ["b", "old"],
    ["c", "old"],
  ] as const) {
    held.take(id(host), told({ images: [image("app:1", { [manifest]: 10 }, { manifest: digest(manifest) })] }));
  }
  const need = held.of("oci://r.lan/app:1");
  expect(need?.holders).toEqual(["b", "c"]);
  expect(need?.startOn(id("a")).fetchBytes).toBe(10);
});

test("a host that is no longer one of the cluster has nothing, and names are told in full", () => {
  const held = start();
  held.take(id("a"), told({ images: [image("app:latest", { x: 1 })] }));
  expect(held.of("oci://r.lan/app")?.holders).toEqual(["a"]);
  held.take(id("b"), told({}));
  held.forget(id("a"));
  expect(held.of("oci://r.lan/app")).toBeUndefined();
  expect(held.take(id("a"), told({ since: 1, revision: 2 }))).toBeNull();
});

test("of a host that has told something which was missed, nothing is known until it tells all again", () => {
  const held = start();
  for (const missed of [
    { since: 3, revision: 4 },
    { since: 1, revision: 2, session: "another-session-of-it" },
  ]) {
    held.take(id("a"), told({ images: [image("app:1", { x: 1 })] }));
    expect(held.of("oci://r.lan/app:1")?.holders).toEqual(["a"]);
    expect(held.take(id("a"), told({ ...missed, gone: ["oci://r.lan/app:1"] }))).toBeNull();
    expect(held.of("oci://r.lan/app:1")).toBeUndefined();
  }
});

test("an image that several hosts have is kept once, and no host is believed to have what another told", () => {
  const held = start();
  const same = { manifest: digest("the same") };
  let reads = 0;
  const layer = {
    bytes: 10,
    get diffId() {
      reads += 1;
      return digest("x");
    },
  };
  held.take(id("a"), told({ images: [image("app:1", { x: 10 }, same)] }));
  held.take(id("b"), told({ images: [image("app:1", {}, { ...same, layers: [layer] })] }));
  held.take(id("c"), told({ images: [image("app:1", { y: 10 }, same)] }));
  const fetched = (host: string) => held.of("oci://r.lan/app:1")?.startOn(id(host)).fetchBytes;
  reads = 0;
  expect([fetched("a"), fetched("b"), fetched("c")]).toEqual([0, 0, 10]);
  // Whoever told it first may go: the others have it as before, and nothing of what they told themselves was kept.
  held.forget(id("a"));
  expect([fetched("a"), fetched("b")]).toEqual([10, 0]);
  expect(reads).toBe(0);
  held.forget(id("b"));
  expect(fetched("c")).toBe(0);
});
