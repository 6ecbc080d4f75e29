/** Images of LXC and Incus, made here in their form by tar(1) and tar2sqfs(1): what is unpacked is what their rootfs/ was. */
import { execFileSync } from "node:child_process";
import {
  createReadStream,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { architectureOf } from "../../core/images/manifest.ts";
import { NO_PROGRESS } from "../../core/images/progress.ts";
import { openImageSettings } from "./image-settings.ts";
import { openRegistrySettings } from "./registry-settings.ts";
import { openOciStore } from "./store.ts";

const { signal } = new AbortController();
const LONG = `usr/share/${"a-long-name-".repeat(9)}/${"x".repeat(120)}`;
const NAME = "oci://local/alpine:3";
let directory: string;
let image: string;

const run = (program: string, words: readonly string[]): string =>
  execFileSync(program, words, { cwd: image, encoding: "utf8" });

/** An extended attribute that is no text. */
const setNote = (path: string): string =>
  run("python3", ["-c", `import os; os.setxattr(${JSON.stringify(path)}, "user.note", bytes([255, 0, 10, 61]))`]);

const metadata = (architecture: string): string =>
  `architecture: ${architecture}
creation_date: 1700000000
properties: { os: alpine, release: "3" }
templates:
  /etc/hostname: { when: [create], template: hostname.tpl }
  /etc/hosts: { when: [create, copy], template: hosts.tpl }
`;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "berth-lxc-"));
  image = join(directory, "image");
  const rootfs = join(image, "rootfs");
  for (const path of ["bin", "sbin", "etc", "run", "templates-not", join(LONG, "..")]) {
    mkdirSync(join(rootfs, path), { recursive: true });
  }
  writeFileSync(join(rootfs, "bin/busybox"), "a program", { mode: 0o755 });
  linkSync(join(rootfs, "bin/busybox"), join(rootfs, "bin/sh"));
  symlinkSync("/bin/busybox", join(rootfs, "sbin/init"));
  writeFileSync(join(rootfs, LONG), "long");
  linkSync(join(rootfs, LONG), join(rootfs, `${LONG.slice(0, -1)}y`));
  symlinkSync("../".repeat(60), join(rootfs, "etc/deep"));
  writeFileSync(join(rootfs, "etc/hostname"), "distrobuilder");
  writeFileSync(join(rootfs, "etc/os-release"), "ID=alpine\n", { mode: 0o640 });
  run("chown", ["7:8", "rootfs/etc/os-release"]);
  run("mkfifo", ["rootfs/run/pipe"]);
  setNote("rootfs/etc/os-release");
  run("truncate", ["-s", "1M", "rootfs/etc/holes"]);
  mkdirSync(join(image, "templates"));
  writeFileSync(join(image, "templates/hosts.tpl"), "127.0.0.1 {{ container.name }}");
  writeFileSync(join(image, "metadata.yaml"), metadata("x86_64"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Names, kinds, modes, owners, sizes, times and links of everything in a tree, and one value that is no text. */
const listing = (root: string): string =>
  run("find", [root, "-mindepth", "1", "-printf", "%P %y %m %U:%G %l %n %s %Ts\n"]).split("\n").toSorted().join("\n") +
  run("python3", ["-c", `import os; print(os.getxattr(${JSON.stringify(join(root, "etc/os-release"))}, "user.note"))`]);

const take = async (archive: string) => {
  const notes: string[] = [];
  const store = await openOciStore(
    join(directory, "store"),
    openRegistrySettings(join(directory, "registries.json")),
    openImageSettings(join(directory, "images.json")),
  );
  const work = { progress: NO_PROGRESS, signal, note: (text: string) => void notes.push(text) };
  expect(await store.take(createReadStream(archive), { ...work, name: NAME })).toEqual([NAME]);
  const { defaults, layers } = await store.prepare(NAME, "holder", { signal: signal });
  return { defaults, notes, root: layers[0] ?? "" };
};
const reason = (archive: string): Promise<string> =>
  take(archive).then(
    () => "brought",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
const pack = (name: string, ...words: string[]): string => {
  run("tar", [...words, "-cf", join(directory, name), "metadata.yaml", "templates", "rootfs"]);
  return join(directory, name);
};

describe.runIf(architectureOf(arch()) === "amd64")("an image of LXC or Incus", () => {
  test.each([
    ["unified, as GNU tar writes it", "unified.tar", ["--format=gnu"]],
    [
      "unified, in POSIX's form with extended attributes, compressed",
      "unified.tar.xz",
      ["--format=pax", "--xattrs", "-J"],
    ],
  ])("%s", async (_title, name, words) => {
    const { defaults, notes, root } = await take(pack(name, ...words));
    expect(defaults).toMatchObject({ machine: true, command: ["/sbin/init"] });
    expect(notes).toEqual(["its templates are not applied: /etc/hosts are as the image has them"]);
    /* The name of a machine is that of its task. */
    rmSync(join(image, "rootfs/etc/hostname"));
    run("touch", ["-r", join(root, "etc"), "rootfs/etc"]);
    if (!words.includes("--xattrs")) setNote(join(root, "etc/os-release"));
    expect(listing(root)).toBe(listing(join(image, "rootfs")));
    expect(readFileSync(join(root, LONG), "utf8")).toBe("long");
  });

  test("split, with a squashfs", async () => {
    run("tar", ["-cf", "../meta.tar", "metadata.yaml", "templates"]);
    expect(await reason(join(directory, "meta.tar"))).toContain("import the other half");
    run("sh", ["-c", "tar -C rootfs --xattrs -cf - . | tar2sqfs -q -f ../rootfs.squashfs"]);
    const { defaults, root } = await take(join(directory, "rootfs.squashfs"));
    expect(defaults).toMatchObject({ machine: true });
    expect(listing(root).replaceAll(/ \d+$/gm, "")).toBe(listing(join(image, "rootfs")).replaceAll(/ \d+$/gm, ""));
    expect(readdirSync(join(directory, "store")).filter((name) => name.startsWith("."))).toEqual([]);
    writeFileSync(join(directory, "cut.squashfs"), readFileSync(join(directory, "rootfs.squashfs")).subarray(0, 600));
    expect(await reason(join(directory, "cut.squashfs"))).toMatch(/sqfs2tar/);
  });

  test("for another architecture, and one that says nothing that can be read", async () => {
    writeFileSync(join(image, "metadata.yaml"), metadata("aarch64"));
    expect(await reason(pack("other.tar"))).toBe("the image is for arm64, and this host is amd64");
    writeFileSync(join(image, "metadata.yaml"), "architecture: [x86_64");
    expect(await reason(pack("broken.tar"))).toContain("metadata.yaml");
    writeFileSync(join(image, "metadata.yaml"), "os: alpine\n");
    expect(await reason(pack("silent.tar"))).toContain('metadata.yaml: "architecture" is missing');
  });

  test("whose root is a link, whose links lead out, which is cut off, or sparse in a form that nobody reads", async () => {
    run("tar", ["-cf", "../outside.tar", "metadata.yaml", "rootfs", "--transform=s|^rootfs/bin/|elsewhere/|hRS"]);
    expect(await reason(join(directory, "outside.tar"))).toMatch(/outside of rootfs\//);
    expect(await reason(pack("sparse.tar", "--format=gnu", "--sparse"))).toContain("--format=pax");
    const whole = readFileSync(pack("whole.tar"));
    writeFileSync(join(directory, "cut.tar"), whole.subarray(0, Math.floor(whole.length / 1024) * 512));
    expect(await reason(join(directory, "cut.tar"))).toMatch(/ends in the middle/);
    rmSync(join(image, "rootfs"), { recursive: true });
    symlinkSync("/etc", join(image, "rootfs"));
    expect(await reason(pack("link.tar"))).toBe("rootfs is no directory in this archive");
  });

  test("sparse files in POSIX's form keep their names and their holes", async () => {
    const { root } = await take(pack("pax-sparse.tar", "--format=pax", "--sparse"));
    expect(run("stat", ["-c", "%s %b", join(root, "etc/holes")]).trim()).toMatch(/^1048576 /);
    expect(readdirSync(join(root, "etc")).toSorted()).toEqual(["deep", "holes", "os-release"]);
  });
});
