import { expect, test } from "vitest";
import { isOfProject, projectOfImage } from "./image-owner.ts";

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

test("distributions are nobody's, also where a project is called like their folder", () => {
  for (const image of ["distro://debian/12", "oci://local/distro/debian:12", "oci://local/distro/debian:mine"]) {
    expect([image, projectOfImage(image)]).toEqual([image, undefined]);
  }
  expect(isOfProject("oci://local/distro/app", "distro")).toBe(true);
});
