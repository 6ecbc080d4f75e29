import { expect, test } from "vitest";
import { MAX_HELD_IMAGES, MAX_HELD_TOLD, type HeldImage } from "@berth/schema";
import { heldChange, type Told } from "./held-changes.ts";

const image = (name: string, manifest = "1"): HeldImage => ({
  ...{ name: `oci://r/${name}`, manifest: `sha256:${manifest.padStart(64, "0")}`, source: "registry" as const },
  layers: [],
});
const many = (count: number) => Array.from({ length: count }, (_, at) => image(`i${at}`));

test("only what is new, other or gone is told", () => {
  const first = heldChange(new Map(), [image("a"), image("b")]);
  expect(first).toMatchObject({ images: [image("a"), image("b")], gone: [], more: false });
  const told = first?.told as Told;
  expect(heldChange(told, [image("b"), image("a")])).toBeUndefined();
  const next = heldChange(told, [image("a", "2"), image("c")]);
  expect(next).toMatchObject({ images: [image("a", "2"), image("c")], gone: ["oci://r/b"] });
  expect(heldChange(next?.told as Told, [image("a", "2"), image("c")])).toBeUndefined();
});

test("a long list is told in several messages, and no more of it than may be told", () => {
  const held = many(MAX_HELD_IMAGES + 10);
  let told: Told = new Map();
  let messages = 0;
  for (let change = heldChange(told, held); change !== undefined; change = heldChange(told, held)) {
    expect(change.images.length).toBeLessThanOrEqual(MAX_HELD_TOLD);
    ({ told } = change);
    messages += 1;
  }
  expect([messages, told.size]).toEqual([MAX_HELD_IMAGES / MAX_HELD_TOLD, MAX_HELD_IMAGES]);
});
