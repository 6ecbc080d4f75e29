/** What names of the cluster stand for: who may be named, what hosts are told, and what a snapshot keeps. */
import { expect, test } from "vitest";
import { MAX_IMAGE_NAMES, type HostId } from "@berth/schema";
import { createState, decideImageName, desiredFor, imageOf, manifestOf, restoreImage } from "./index.ts";
import { makeSpec, unwrap, World } from "./testing/world.ts";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const name = (world: World, image: string, manifest: string | null): void => {
  world.append(unwrap(decideImageName(world.state, { image, manifest }, "ann")));
};

test("a name is said in full; what is said twice is no record; null forgets it", () => {
  const world = new World();
  name(world, "oci://local/app", digest("a"));
  for (const image of ["oci://local/app", "oci://local/app:latest"]) {
    expect(manifestOf(world.state, image)).toBe(digest("a"));
    expect(decideImageName(world.state, { image, manifest: digest("a") }, "ann")).toEqual({ ok: true, value: [] });
  }
  name(world, "distro://debian/12", digest("b"));
  expect(manifestOf(world.state, "oci://local/distro/debian:12")).toBe(digest("b"));
  expect(manifestOf(world.state, "builtin://busybox")).toBeUndefined();
  name(world, "oci://local/app", null);
  expect(manifestOf(world.state, "oci://local/app")).toBeUndefined();
  expect(decideImageName(world.state, { image: "oci://local/app", manifest: null }, "ann")).toEqual({
    ok: true,
    value: [],
  });
});

test.each(["oci://registry.lan/app:1", `oci://local/app@${digest("a")}`, "builtin://busybox", "oci://Nothing"])(
  "%s is no name that anybody here could give",
  (image) => {
    const refused = decideImageName(new World().state, { image, manifest: digest("a") }, "ann");
    expect(refused).toMatchObject({ ok: false, error: { code: "request.invalid" } });
  },
);

test("there are so many, and giving one again is no further one", () => {
  const world = new World();
  const records = Array.from({ length: MAX_IMAGE_NAMES }, (_, at) =>
    unwrap(decideImageName(world.state, { image: `oci://local/n${at}:1`, manifest: digest("a") }, "ann")),
  ).flat();
  world.append(records);
  const ask = (image: string) => decideImageName(world.state, { image, manifest: digest("b") }, "ann");
  expect(ask("oci://local/more:1")).toMatchObject({ ok: false, error: { code: "request.too_many" } });
  expect(ask("oci://local/n0:1").ok).toBe(true);
});

test("hosts are told with each task, again when the name stands for another image, and after a snapshot", () => {
  const world = new World();
  const host = "h1" as HostId;
  world.host("h1");
  world.submit(makeSpec("job", { kind: "service", image: "oci://local/app" }));
  world.plan();
  const [before] = desiredFor(world.state, host).allocations;
  expect(before).toBeDefined();
  expect(before).not.toHaveProperty("manifest");
  const { rev } = desiredFor(world.state, host);
  name(world, "oci://local/app:latest", digest("a"));
  expect(desiredFor(world.state, host).rev).toBeGreaterThan(rev);
  expect(desiredFor(world.state, host).allocations).toMatchObject([{ manifest: digest("a") }]);
  name(world, "oci://local/app", digest("b"));
  const restored = createState();
  restoreImage(
    restored,
    [...imageOf(world.state)].map((line) => JSON.parse(JSON.stringify(line)) as typeof line),
  );
  expect(desiredFor(restored, host)).toEqual(desiredFor(world.state, host));
  expect(desiredFor(restored, host).allocations).toMatchObject([{ manifest: digest("b") }]);
});
