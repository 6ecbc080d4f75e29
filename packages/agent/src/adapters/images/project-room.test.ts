/** What counts as a project's in the store of a host. */
import { expect, test } from "vitest";
import { layersHeldBy } from "./project-room.ts";

const image = (name: string, ...diffIds: string[]) => ({ name, diffIds });

test("layers that only its images hold count once, also when the image that they came with is gone", () => {
  const images = [
    image("oci://registry.lan/app:1", "base", "app"),
    image("oci://local/web/one:1", "base", "app", "first"),
    image("oci://local/web/snapshots/web:0.two", "base", "app", "first", "second"),
  ];
  expect(layersHeldBy("web", images, [])).toEqual(["first", "second"]);
  expect(layersHeldBy("web", images.slice(1), [])).toEqual(["base", "app", "first", "second"]);
  // The one between is removed: what it added is still there for the one above it.
  expect(layersHeldBy("web", [images[0]!, images[2]!], [])).toEqual(["first", "second"]);
});

test("what another project holds counts for both, and what a new image lies over counts with it", () => {
  const images = [image("oci://local/app:1", "common"), image("oci://local/shop/base:1", "common", "large")];
  expect(layersHeldBy("shop", images, [])).toEqual(["large"]);
  expect(layersHeldBy("web", images, [])).toEqual([]);
  expect(layersHeldBy("web", images, ["common", "large"])).toEqual(["large"]);
});
