import { expect, test } from "vitest";
import { isOfProject } from "./image-owner.ts";

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
