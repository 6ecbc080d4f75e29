import { expect, test } from "vitest";
import type { ImageDetails } from "@berth/schema";
import { imageSentence } from "./plan-image.ts";

const on = (...hosts: string[]): ImageDetails["items"] =>
  hosts.map((host) => ({ host, image: { layers: [{ archiveBytes: 2 ** 20 }, { archiveBytes: 2 ** 20 }] } })) as never;
const IMAGE = "oci://registry.lan/app:1";

test("hosts that have it, and hosts that bring it first", () => {
  expect(imageSentence(IMAGE, ["a", "b"], on("a", "b", "c"))).toBe("image: on a, b already");
  expect(imageSentence(IMAGE, ["a", "b"], on("a"))).toBe("image: on a already; b brings it first, up to 2 MiB");
  expect(imageSentence(IMAGE, ["a", "b"], on("c"))).toBe("image: a, b bring it first, up to 2 MiB");
  expect(imageSentence(IMAGE, ["a"], [])).toBe("image: a brings it first");
  expect(imageSentence(IMAGE, ["a", "b", "c", "d", "e", "f", "g"], [])).toBe(
    "image: a, b, c, d, e and 2 more bring it first",
  );
});

test("a distribution that nobody has built", () => {
  expect(imageSentence("distro://debian/12", ["a"], [])).toContain("berth image build distro://debian/12");
});
