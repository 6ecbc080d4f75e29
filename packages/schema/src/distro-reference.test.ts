import { expect, test } from "vitest";
import { distroOf, parseDistroReference } from "./distro-reference.ts";
import { formatImageReference, isImageReference, parseImageReference } from "./image-reference.ts";
import { parseJobDocument } from "./job-parse.ts";

test.each([
  ["distro://debian/12", "oci://local/distro/debian:12"],
  ["distro://debian/bookworm", "oci://local/distro/debian:12"],
  ["distro://debian/12/systemd", "oci://local/distro/debian:12"],
  ["distro://debian/13/sysvinit", "oci://local/distro/debian:13-sysvinit"],
  ["distro://debian/trixie/openrc", "oci://local/distro/debian:13-openrc"],
])("%s is kept as %s, and found again by it", (text, name) => {
  const parsed = parseImageReference(text);
  expect(parsed.ok && formatImageReference(parsed.value)).toBe(name);
  const { repository = "", tag } = parsed.ok ? parsed.value : {};
  const again = distroOf(repository, tag);
  expect(parseDistroReference(again ?? "")).toEqual(parseDistroReference(text));
});

test.each([
  ["distro://arch/1", '"arch" cannot be built here'],
  ["distro://debian", '"" is no release'],
  ["distro://debian/7", '"7" is no release of Debian that can be built: one of 11, 12, 13'],
  ["distro://debian/toString", "is no release"],
  ["distro://debian/12/runit", '"runit" is no init: one of systemd, sysvinit, openrc'],
  ["distro://debian/12/systemd/x", '"systemd/x" is no init'],
])("%s is refused", (text, reason) => {
  expect(isImageReference(text)).toBe(true);
  const parsed = parseImageReference(text);
  expect(parsed.ok ? "" : parsed.error).toContain(reason);
});

test("a job may name one, and is told at once what is wrong with it", () => {
  expect(parseJobDocument({ name: "box", kind: "service", image: "distro://debian/12" }).ok).toBe(true);
  const wrong = parseJobDocument({ name: "box", kind: "service", image: "distro://debian/1" });
  expect(JSON.stringify(wrong)).toContain("no release of Debian");
});

test("other images of this registry are none", () => {
  expect(distroOf("distro/debian", "14")).toBeUndefined();
  expect(distroOf("debian", "12")).toBeUndefined();
});
