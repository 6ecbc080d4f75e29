import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseDistroReference } from "@berth/schema";
import { failureOf, mmdebstrapArguments, stepOf } from "./debian-plan.ts";

const plan = (text: string, securityMirror?: string) => {
  const reference = parseDistroReference(text);
  if (!reference.ok) throw new Error(reference.error);
  return mmdebstrapArguments(reference.value, {
    mirror: "http://m.example/debian",
    securityMirror,
    keyring: undefined,
  });
};

test("suite, init and mirrors", () => {
  const systemd = plan("distro://debian/12", "http://s.example/debian-security");
  expect(systemd.slice(-4)).toEqual([
    "bookworm",
    "-",
    "deb http://m.example/debian bookworm main",
    "deb http://s.example/debian-security bookworm-security main",
  ]);
  expect(systemd.find((word) => word.startsWith("--include"))).toContain("systemd-sysv");
  expect(systemd.some((word) => word.includes("powerwait"))).toBe(false);
  const sysvinit = plan("distro://debian/13/sysvinit");
  expect(sysvinit.at(-3)).toBe("trixie");
  expect(sysvinit.find((word) => word.startsWith("--include"))).not.toContain("systemd");
  expect(sysvinit.some((word) => word.includes("powerwait"))).toBe(true);
});

test("a name and a password in a mirror's address are in no sentence, and not in the image", () => {
  expect(failureOf(["E: http://me:secret@m.example/debian bookworm: 404"])).toBe(
    "E: http://m.example/debian bookworm: 404",
  );
  const hook = plan("distro://debian/12").find((word) => word.includes("*.sources")) ?? "";
  const script = hook.slice("--customize-hook=".length);
  const root = mkdtempSync(join(tmpdir(), "berth-sources-"));
  try {
    mkdirSync(join(root, "etc/apt"), { recursive: true });
    const file = join(root, "etc/apt/sources.list");
    writeFileSync(file, "deb http://me:s3cr%40et@m.example/debian bookworm main\ndeb https://s.example/x y main\n");
    execFileSync("sh", ["-c", script, "exec", root]);
    expect(readFileSync(file, "utf8")).toBe(
      "deb http://m.example/debian bookworm main\ndeb https://s.example/x y main\n",
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("steps, and why it failed", () => {
  expect(stepOf("I: downloading packages with apt...")).toEqual({ label: "packages", phase: "fetching" });
  expect(stepOf("I: installing essential packages...")).toEqual(stepOf("I: installing remaining packages inside"));
  expect(stepOf("done")).toBeUndefined();
  const lines = [
    "I: running apt-get update...",
    "Err:1 http://m.example bookworm InRelease",
    "E: apt-get update failed",
  ];
  expect(failureOf(lines)).toBe("Err:1 http://m.example bookworm InRelease; E: apt-get update failed");
  expect(failureOf(["sh: mount: not found"])).toBe("sh: mount: not found");
});
