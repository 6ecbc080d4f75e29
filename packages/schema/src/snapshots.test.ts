import { expect, test } from "vitest";
import { isOfProject } from "./image-owner.ts";
import { snapshotImage, snapshotOf, type SnapshotId } from "./snapshots.ts";

const id = { project: "media", job: "web-1", index: 12, name: "before.update-2" } as SnapshotId;

test("a snapshot's image says which task it is of, and is its project's own", () => {
  const image = snapshotImage(id);
  expect(image).toBe("oci://local/media/snapshots/web-1:12.before.update-2");
  expect(snapshotOf(image)).toEqual(id);
  expect(isOfProject(image, "media")).toBe(true);
});

test("other images are no snapshots", () => {
  for (const other of [
    "oci://registry.lan/media/snapshots/web:1.a",
    "oci://local/media/web:1.a",
    "oci://local/media/snapshots/web:a",
    "oci://local/media/snapshots/web:01.a",
    "oci://local/media/snapshots/web:1.A",
    "oci://local/media/snapshots/web/more:1.a",
    "builtin://busybox",
  ]) {
    expect([other, snapshotOf(other)]).toEqual([other, undefined]);
  }
});
