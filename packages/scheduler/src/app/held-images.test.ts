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
const start = (isHost: (host: HostId) => boolean = () => true) => createHeldImages(isHost);

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
  let hosts = ["a", "b"];
  const held = start((host) => hosts.includes(host));
  held.take(id("a"), told({ images: [image("app:latest", { x: 1 })] }));
  expect(held.of("oci://r.lan/app")?.holders).toEqual(["a"]);
  hosts = ["b"];
  held.take(id("b"), told({}));
  expect(held.of("oci://r.lan/app")).toBeUndefined();
});
