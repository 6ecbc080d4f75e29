import { expect, test } from "vitest";
import { isOfProject, snapshotImage, snapshotOf } from "./image-owner.ts";

test("a project's own names begin with it, on no registry but the cluster's own", () => {
  expect(isOfProject("oci://local/media/app:1", "media")).toBe(true);
  for (const other of [
    "oci://local/media:1",
    "oci://local/other/app:1",
    "oci://registry.lan/media/app:1",
    "media/app",
  ]) {
    expect([other, isOfProject(other, "media")]).toEqual([other, false]);
  }
});

test("a snapshot's image says whose it is and what it is called", () => {
  const image = snapshotImage("media", "before-update");
  expect(image).toBe("oci://local/media/snapshots:before-update");
  expect(snapshotOf(image)).toEqual({ project: "media", name: "before-update" });
  expect(snapshotOf(`${image}@sha256:${"a".repeat(64)}`)).toEqual({ project: "media", name: "before-update" });
  for (const other of ["oci://local/media/app:1", "oci://registry.lan/media/snapshots:x", "builtin://busybox"]) {
    expect([other, snapshotOf(other)]).toEqual([other, undefined]);
  }
});
