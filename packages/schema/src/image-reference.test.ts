import { describe, expect, test } from "vitest";
import { formatImageReference, isLoopback, parseImageReference } from "./image-reference.ts";

const digest = `sha256:${"0a".repeat(32)}`;

describe("a reference", () => {
  test.each([
    ["oci://registry.lan/app", { registry: "registry.lan", repository: "app", target: "latest" }],
    [
      "oci://Registry.LAN:5000/a/b-c/d__e:V1.2_x",
      { registry: "registry.lan:5000", repository: "a/b-c/d__e", target: "V1.2_x" },
    ],
    [`oci://[::1]:5000/app@${digest}`, { registry: "[::1]:5000", tag: undefined, target: digest }],
    [`oci://127.0.0.1/app:1@${digest}`, { tag: "1", digest, target: digest }],
  ])("%s", (text, expected) => {
    expect(parseImageReference(text)).toMatchObject({ ok: true, value: expected });
  });

  test.each([
    ["registry.lan/app", "does not begin with oci://"],
    ["oci://app", "names no repository"],
    ["oci:///app", '"" is no host'],
    ["oci://a b/app", '"a b" is no host'],
    ["oci://host:99999/app", "is no host"],
    ["oci://host/", '"" is no repository'],
    ["oci://host/App", '"App" is no repository'],
    ["oci://host/a//b", "is no repository"],
    ["oci://host/../../x", "is no repository"],
    [`oci://host/${"a".repeat(256)}`, "is no repository"],
    ["oci://host/app:", '"" is no tag'],
    ["oci://host/app:a:b", '"a:b" is no tag'],
    ["oci://host/app@sha256:0", "is no digest"],
    [`oci://host/app@${digest}@${digest}`, "more than one @"],
    ["oci://user:secret@host/app", "is no digest"],
  ])("%s is refused", (text, reason) => {
    const parsed = parseImageReference(text);
    expect(parsed.ok ? "" : parsed.error).toContain(reason);
  });

  test("in full", () => {
    const parsed = parseImageReference("oci://host/app");
    expect(parsed.ok && formatImageReference(parsed.value)).toBe("oci://host/app:latest");
  });

  test("on this machine", () => {
    expect(["localhost:5000", "127.0.0.1", "127.8.9.1:1", "[::1]:80"].every(isLoopback)).toBe(true);
    expect(["127.0.0.1.evil.org", "localhost.evil", "10.0.0.1"].some(isLoopback)).toBe(false);
  });
});
