/**
 * Rules 4, 5, 12, 13, 14 and 34: whatever links an image holds, a start makes nothing outside of the root, and says
 * nothing about what is there. That nobody can win by changing a path in between is race.test.ts.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { outputOf, testHost } from "../host.ts";
import { openDirectory } from "./tools.ts";

const host = testHost();
const outside = openDirectory();
const source = join(host.directory, "source");
const links = join(host.directory, "links");

beforeAll(() => {
  mkdirSync(source);
  mkdirSync(links);
  writeFileSync(join(outside, "here"), "");
  writeFileSync(join(source, "data"), "data\n");
  symlinkSync(outside, join(links, "absolute"));
  symlinkSync(`../../../../../..${outside}`, join(links, "relative"));
  symlinkSync("absolute", join(links, "twice"));
  symlinkSync("/proc/self/root", join(links, "magic"));
  symlinkSync("/proc/self/cwd", join(links, "magic-cwd"));
  symlinkSync("/proc/1/root", join(links, "magic-init"));
  symlinkSync(`${outside}/here`, join(links, "to-file"));
  symlinkSync(`${outside}/made`, join(links, "to-nothing"));
});

/** Starts a container with `source` at `target`, and says what it saw there, or why it was refused. */
const bindAt = async (target: string, what = source): Promise<string> => {
  const spec = host.spec(["sh", "-c", `cat ${target}/data ${target} 2>/dev/null`], {
    layers: [links, host.image],
    mounts: [{ source: what, target, readOnly: false }],
  });
  const result = await host.runtime.start(spec);
  if (!result.ok) return `${result.error.stage} ${result.error.code}`;
  await result.value.exited;
  const text = await outputOf(result.value);
  await result.value.remove();
  return text;
};

describe("a mount target", () => {
  test.each(["absolute", "relative", "twice", "magic", "magic-cwd", "magic-init", "to-nothing"])(
    "through the link /%s makes nothing outside",
    async (link) => {
      for (const target of [`/${link}`, `/${link}/new`, `/${link}/a/b/c`]) {
        expect(await bindAt(target), target).toMatch(/^(data\n|mount\.bind E(LOOP|XDEV|NOENT|NOTDIR))$/);
        expect(await bindAt(`${target}/file`, join(source, "data")), target).toMatch(
          /^(data\n|mount\.bind E(LOOP|XDEV|NOENT|NOTDIR))$/,
        );
      }
      expect(readdirSync(outside)).toEqual(["here"]);
      for (const name of ["new", "a", "file"]) expect(existsSync(`/${name}`), `/${name}`).toBe(false);
    },
  );

  test("that is a link to a file of the host leaves that file alone", async () => {
    expect(await bindAt("/to-file", join(source, "data"))).toMatch(/^(data\n|mount\.bind E(LOOP|NOENT|EXIST))$/);
    expect(readFileSync(join(outside, "here"), "utf8")).toBe("");
  });

  test.each([
    "/",
    "/.",
    "//",
    "/proc",
    "/proc/1",
    "/proc/self/fd/3",
    "/proc/sys/kernel",
    "/sys",
    "/sys/fs/cgroup",
    "/dev",
    "/dev/null",
    "/dev/shm/x",
    "//proc//self",
    "/./dev",
    "/dev/./x",
    "/proc/../proc/x",
  ])("%s, where the kernel's files belong, is refused", async (target) => {
    const result = await host.runtime.start(host.spec(["true"], { mounts: [{ source, target, readOnly: true }] }));
    expect(result).toMatchObject({ ok: false, error: { stage: "spec", code: "EINVAL" } });
  });

  test("through a link to /proc, /sys or /dev cannot cover the kernel's files", async () => {
    const layer = join(host.directory, "to-kernel");
    mkdirSync(layer);
    for (const name of ["proc", "sys", "dev"]) symlinkSync(`/${name}`, join(layer, `my-${name}`));
    const script =
      "for d in proc sys dev; do ls /$d/data /$d/x 2>/dev/null; done; head -1 /proc/self/status | cut -c1-5; ls -d /sys/kernel /dev/null";
    for (const below of ["", "/x"]) {
      const { stdout } = await host.sh(script, {
        layers: [layer, host.image],
        mounts: ["proc", "sys", "dev"].map((name) => ({ source, target: `/my-${name}${below}`, readOnly: true })),
      });
      expect(stdout).toBe("Name:\n/dev/null\n/sys/kernel\n");
    }
  });
});

describe("an image", () => {
  test.each(["proc", "sys", "dev"])("with a link or a file at /%s is refused", async (name) => {
    for (const to of [outside, "/", "elsewhere", `../../../../..${outside}`]) {
      const layer = join(host.directory, `${name}-${to.replaceAll("/", "_")}`);
      mkdirSync(join(layer, "elsewhere"), { recursive: true });
      symlinkSync(to, join(layer, name));
      const result = await host.runtime.start(host.spec(["/bin/true"], { layers: [layer] }));
      expect(result, to).toMatchObject({ ok: false, error: { stage: `mount.${name}`, code: "ELOOP" } });
    }
    const file = join(host.directory, `${name}-file`);
    mkdirSync(file);
    writeFileSync(join(file, name), "");
    const result = await host.runtime.start(host.spec(["/bin/true"], { layers: [file] }));
    expect(result).toMatchObject({ ok: false, error: { stage: `mount.${name}`, code: "ENOTDIR" } });
    expect(readdirSync(outside)).toEqual(["here"]);
  });

  test("with links at /dev/pts, /dev/shm and /dev/mqueue gets its own /dev over them", async () => {
    const layer = join(host.directory, "dev-links");
    mkdirSync(join(layer, "dev"), { recursive: true });
    for (const name of ["pts", "shm", "mqueue", "null"]) symlinkSync(outside, join(layer, "dev", name));
    const { stdout } = await host.sh(
      "echo x > /dev/shm/x; echo x > /dev/null; stat -c %F /dev/pts /dev/shm /dev/mqueue /dev/null",
      {
        layers: [layer, host.image],
      },
    );
    expect(stdout).toBe("directory\ndirectory\ndirectory\ncharacter special file\n");
    expect(readdirSync(outside)).toEqual(["here"]);
  });

  test("whose working directory is a link gets a directory inside", async () => {
    for (const link of ["absolute", "relative", "to-nothing"]) {
      const result = await host.runtime.start(
        host.spec(["/bin/busybox", "touch", "made-by-it"], { layers: [links, host.image], workdir: `/${link}/deep` }),
      );
      if (result.ok) {
        await result.value.exited;
        await result.value.remove();
      }
      expect(readdirSync(outside), link).toEqual(["here"]);
    }
  });

  test("that is itself a symbolic link is refused", async () => {
    const link = join(host.directory, "image-link");
    symlinkSync(host.image, link);
    const result = await host.runtime.start(host.spec(["true"], { layers: [link] }));
    expect(result).toMatchObject({ ok: false, error: { stage: expect.stringMatching(/^rootfs\./) as string } });
  });
});

test("an error says nothing about what exists outside of the root", async () => {
  const there = host.spec(["true"], { id: "same" });
  const tell = async (link: string) => {
    const layer = join(host.directory, `ask-${link.replaceAll("/", "_")}`);
    mkdirSync(layer, { recursive: true });
    symlinkSync(link, join(layer, "ask"));
    const answers = [];
    for (const [workdir, target] of [
      ["/ask", "/data"],
      ["/", "/ask"],
      ["/", "/ask/x"],
    ] as const) {
      const result = await host.runtime.start({
        ...there,
        layers: [layer, host.image],
        workdir,
        mounts: [{ source: join(source, "data"), target, readOnly: true }],
      });
      answers.push(result.ok ? "started" : result.error);
      if (result.ok) {
        await result.value.exited;
        await result.value.remove();
      }
    }
    return answers;
  };
  expect(await tell(join(outside, "here"))).toEqual(await tell(join(outside, "nope")));
  expect(await tell(outside)).toEqual(await tell(`${outside}-not`));
});
