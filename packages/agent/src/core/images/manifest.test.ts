import { describe, expect, test } from "vitest";
import {
  architectureOf,
  checkConfig,
  chooseManifest,
  decodeConfig,
  decodeIndex,
  decodeManifest,
  isIndex,
} from "./manifest.ts";

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const digest = `sha256:${"ab".repeat(32)}`;
const descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: 7 };
const manifest = { schemaVersion: 2 as const, config: descriptor, layers: [descriptor] };
const config = {
  architecture: "amd64",
  os: "linux",
  config: { Env: ["A=1"], Cmd: null },
  rootfs: { type: "layers" as const, diff_ids: [digest] },
};
const entry = (os: string, architecture: string, size: number) => ({
  ...descriptor,
  size,
  platform: { os, architecture },
});

describe("documents", () => {
  test("are decoded, unknown keys and all", () => {
    expect(decodeManifest(bytes({ ...manifest, annotations: { a: "b" } })).ok).toBe(true);
    expect(decodeConfig(bytes({ ...config, history: [] })).ok).toBe(true);
  });

  test.each([
    ["{", "is not JSON"],
    [{ ...manifest, layers: [{ ...descriptor, digest: "sha256:../../etc/passwd" }] }, "/layers/0/digest"],
    [{ ...manifest, layers: [{ ...descriptor, size: -1 }] }, "/layers/0/size"],
    [{ ...manifest, layers: Array.from({ length: 65 }, () => descriptor) }, "/layers"],
    [{ ...manifest, schemaVersion: 1 }, "/schemaVersion"],
  ])("%j is refused", (value, reason) => {
    const decoded = decodeManifest(bytes(value));
    expect(decoded.ok ? "" : decoded.error).toContain(reason);
  });

  test("an index is told from a manifest with and without a media type", () => {
    const index = bytes({ schemaVersion: 2, manifests: [] });
    expect(isIndex(undefined, index)).toBe(true);
    expect(isIndex(undefined, bytes(manifest))).toBe(false);
    expect(isIndex("application/vnd.oci.image.manifest.v1+json", index)).toBe(false);
  });
});

describe("the manifest for this machine", () => {
  const choose = (manifests: unknown[]) => {
    const index = decodeIndex(bytes({ schemaVersion: 2, manifests }));
    if (!index.ok) throw new Error(index.error);
    return chooseManifest(index.value, "amd64");
  };

  test("is that of its platform", () => {
    expect(
      choose([entry("linux", "arm64", 1), entry("unknown", "unknown", 2), entry("linux", "amd64", 3)]),
    ).toMatchObject({
      value: { size: 3 },
    });
  });

  test("is the only one, when none says what it is for", () => {
    expect(choose([descriptor])).toMatchObject({ ok: true });
  });

  test("does not exist: the refusal says what there is", () => {
    expect(choose([entry("linux", "arm64", 1), entry("windows", "amd64", 1)])).toEqual({
      ok: false,
      error: "it is not made for linux/amd64, only for linux/arm64, windows/amd64",
    });
  });
});

test("manifest and configuration must agree", () => {
  expect(checkConfig(manifest, config, "amd64").ok).toBe(true);
  expect(checkConfig(manifest, { ...config, architecture: "s390x" }, "amd64")).toMatchObject({
    error: "it is made for linux/s390x, and this host is linux/amd64",
  });
  expect(checkConfig({ ...manifest, layers: [] }, config, "amd64")).toMatchObject({
    error: "its manifest has 0 layers and its configuration 1",
  });
});

test("architectures", () => {
  expect(["x64", "ia32", "arm64", "riscv64"].map(architectureOf)).toEqual(["amd64", "386", "arm64", "riscv64"]);
});
