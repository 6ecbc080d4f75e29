/** Bind mounts and the root file system: what is seen, who owns it, and that targets stay inside. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openRuntime } from "../lib/index.ts";
import { eventually, layout, testHost, outputOf } from "./host.ts";

const host = testHost();
const source = join(host.directory, "source");

beforeAll(() => {
  mkdirSync(join(source, "private"), { recursive: true });
  writeFileSync(join(source, "root-only"), "secret of root\n");
  chmodSync(join(source, "root-only"), 0o600);
  writeFileSync(join(source, "private/mine"), "secret of 1000\n");
  chownSync(join(source, "private/mine"), 1000, 1000);
  chownSync(join(source, "private"), 1000, 1000);
  chmodSync(join(source, "private/mine"), 0o400);
  chmodSync(join(source, "private"), 0o700);
});

describe("a read-only bind", () => {
  const mounts = [{ source, target: "/data", readOnly: true }];

  test("shows the host's files with the host's ids, readable by the container's root", async () => {
    const { stdout } = await host.sh(
      "stat -c '%u:%g %a %n' /data/* /data/private/*; cat /data/root-only /data/private/mine",
      { mounts },
    );
    expect(stdout.split("\n")).toEqual([
      "1000:1000 700 /data/private",
      "0:0 600 /data/root-only",
      "1000:1000 400 /data/private/mine",
      "secret of root",
      "secret of 1000",
      "",
    ]);
  });

  test("cannot be written, by any way", async () => {
    const { stdout } = await host.sh(
      "(echo x > /data/new) 2>/dev/null && echo new; (echo x >> /data/root-only) 2>/dev/null && echo old; chmod 777 /data/root-only 2>/dev/null && echo chmod; rm -f /data/root-only 2>/dev/null && echo rm; mount -o remount,rw /data 2>/dev/null && echo remount; touch /data/root-only 2>/dev/null && echo touch; echo done",
      { mounts },
    );
    expect(stdout).toBe("done\n");
  });

  test("reads the same bytes of /usr/share as the host does, or is refused where ids cannot be mapped", async () => {
    const list = "find . -type f | sort | head -400 | xargs sha256sum";
    /* mount_setattr(2) lists who can; file systems shared with a virtual machine cannot. */
    if (execFileSync("findmnt", ["-n", "-o", "FSTYPE", "-T", "/usr/share"], { encoding: "utf8" }).trim() === "9p") {
      const spec = host.spec(["true"], { mounts: [{ source: "/usr/share", target: "/data", readOnly: true }] });
      expect(await host.runtime.start(spec)).toMatchObject({
        ok: false,
        error: { stage: "mount.bind", code: "EINVAL", detail: expect.stringContaining("cannot map ids") as string },
      });
      return;
    }
    const { stdout } = await host.sh(`cd /data && ${list}`, {
      mounts: [{ source: "/usr/share", target: "/data", readOnly: true }],
    });
    const onHost = execFileSync("busybox", ["sh", "-c", `cd /usr/share && ${list}`], {
      encoding: "utf8",
      maxBuffer: 1 << 24,
    });
    expect(stdout).toBe(onHost);
    expect(stdout.split("\n").length).toBeGreaterThan(50);
  });

  test("covers what is mounted below its source as well", async () => {
    const tree = join(host.directory, "tree");
    mkdirSync(join(tree, "below"), { recursive: true });
    mkdirSync(join(host.directory, "elsewhere"));
    writeFileSync(join(host.directory, "elsewhere/file"), "x");
    execFileSync("mount", ["--bind", join(host.directory, "elsewhere"), join(tree, "below")]);
    try {
      const { stdout } = await host.sh(
        "cat /data/below/file; (echo y > /data/below/file) 2>/dev/null || echo refused",
        {
          mounts: [{ source: tree, target: "/data", readOnly: true }],
        },
      );
      expect(stdout).toBe("xrefused\n");
    } finally {
      execFileSync("umount", [join(tree, "below")]);
    }
  });
});

describe("a writable bind", () => {
  test("gets files that belong to the same ids on the host", async () => {
    const target = join(host.directory, "writable");
    mkdirSync(target);
    const { exit } = await host.sh("echo result > /out/file && mkdir /out/dir && chown 7:8 /out/dir", {
      mounts: [{ source: target, target: "/out", readOnly: false }],
    });
    expect(exit.code).toBe(0);
    expect(readFileSync(join(target, "file"), "utf8")).toBe("result\n");
    expect(statSync(join(target, "file"))).toMatchObject({ uid: 0, gid: 0 });
    expect(statSync(join(target, "dir"))).toMatchObject({ uid: 7, gid: 8 });
  });

  test("honours neither set-uid bits nor device nodes", async () => {
    const target = join(host.directory, "special");
    mkdirSync(target);
    execFileSync("mknod", [join(target, "null"), "c", "1", "3"]);
    const { stdout } = await host.sh("cat /out/null 2>&1; grep ' /out ' /proc/mounts | grep -o 'nosuid,nodev'", {
      mounts: [{ source: target, target: "/out", readOnly: false }],
    });
    expect(stdout).toBe("cat: can't open '/out/null': Permission denied\nnosuid,nodev\n");
  });
});

describe("targets", () => {
  test("are made when missing: directories and files", async () => {
    const { stdout } = await host.sh("cat /a/b/c/root-only; cat /d/e/passwords", {
      mounts: [
        { source, target: "/a/b/c", readOnly: true },
        { source: join(source, "root-only"), target: "/d/e/passwords", readOnly: true },
      ],
    });
    expect(stdout).toBe("secret of root\nsecret of root\n");
  });

  test("that lead out by symbolic links of the image stay inside", async () => {
    const layer = join(host.directory, "links");
    mkdirSync(layer);
    const outside = join(host.directory, "outside");
    mkdirSync(outside);
    symlinkSync(outside, join(layer, "absolute"));
    symlinkSync(`../../../../..${outside}`, join(layer, "relative"));
    symlinkSync("/proc/self/root", join(layer, "magic"));
    for (const name of ["absolute", "relative"]) {
      const { stdout } = await host
        .sh(`ls ${outside}/deep`, {
          layers: [layer, host.image],
          mounts: [{ source, target: `/${name}/deep`, readOnly: true }],
        })
        .catch(() => ({ stdout: "refused" }));
      expect(stdout).toMatch(/^(refused|private\nroot-only\n)$/);
      expect(existsSync(join(outside, "deep")), name).toBe(false);
    }
    const magic = await host.runtime.start(
      host.spec(["true"], { layers: [layer, host.image], mounts: [{ source, target: "/magic/x", readOnly: true }] }),
    );
    if (magic.ok) {
      await magic.value.exited;
      await magic.value.remove();
    }
    expect(existsSync("/x")).toBe(false);
  });

  test.each([
    "/",
    "/.",
    "//",
    "/proc",
    "/proc/sys",
    "/sys/fs",
    "/dev",
    "/dev/shm/x",
    "/dev/mqueue",
    "//proc/self",
    "/./dev",
  ])("%s is refused", async (target) => {
    const result = await host.runtime.start(host.spec(["true"], { mounts: [{ source, target, readOnly: true }] }));
    expect(result).toMatchObject({ ok: false, error: { stage: "spec" } });
  });

  test("a link to /proc in the image cannot put a bind over the kernel's files", async () => {
    const layer = join(host.directory, "proc-link");
    mkdirSync(layer);
    symlinkSync("/proc", join(layer, "innocent"));
    const { stdout } = await host.sh("ls /proc/root-only 2>/dev/null; test -r /proc/self/status && echo kernel", {
      layers: [layer, host.image],
      mounts: [{ source, target: "/innocent", readOnly: true }],
    });
    expect(stdout).toBe("kernel\n");
  });
});

describe("other kinds", () => {
  test("tmpfs: size, inodes, mode and flags as asked", async () => {
    const { stdout } = await host.sh(
      `stat -c %a /a /b; head -c 2000000 /dev/zero > /a/big 2>/dev/null || echo full; wc -c < /a/big
       touch /b/1 2>/dev/null || echo "no write"; cp /bin/busybox /c/true && /c/true 2>/dev/null || echo "no exec"
       i=0; while touch /d/$i 2>/dev/null; do i=$((i+1)); done; echo $i; grep -o ' /a tmpfs [^ ]*' /proc/mounts | tr , '\n' | grep -E 'nosuid|nodev|noexec'`,
      {
        mounts: [
          { kind: "tmpfs", target: "/a", sizeBytes: 1 << 20, mode: 0o1777 },
          { kind: "tmpfs", target: "/b", readOnly: true },
          { kind: "tmpfs", target: "/c", noExec: true },
          { kind: "tmpfs", target: "/d", inodes: 10 },
        ],
      },
    );
    expect(stdout.split("\n")).toEqual([
      "1777",
      "755",
      "full",
      "1048576",
      "no write",
      "no exec",
      "9",
      "nosuid",
      "nodev",
      "",
    ]);
  });

  test("shm replaces the default one, with its size", async () => {
    const { stdout } = await host.sh(
      "grep -c ' /dev/shm ' /proc/mounts; df -k /dev/shm | awk 'END { print $2 }'; stat -c %a /dev/shm",
      {
        mounts: [{ kind: "shm", target: "/dev/shm", sizeBytes: 1 << 20 }],
      },
    );
    expect(stdout).toBe("1\n1024\n1777\n");
  });

  test("mqueue and devpts are the container's own", async () => {
    const { stdout } = await host.sh("ls /mq | wc -l; ls /pts; grep -E ' (/mq|/pts) ' /proc/mounts | cut -d' ' -f2,3", {
      mounts: [
        { kind: "mqueue", target: "/mq" },
        { kind: "devpts", target: "/pts" },
      ],
    });
    expect(stdout).toBe("0\nptmx\n/mq mqueue\n/pts devpts\n");
  });

  test.runIf(layout.kind !== "v1")("a cgroup tree is the container's own, and nobody inside writes it", async () => {
    const { stdout } = await host.sh(
      `cat /proc/self/cgroup | grep ^0; cd /sys/fs/cgroup && grep -cx $$ cgroup.procs
       for f in cgroup.procs cgroup.freeze cgroup.max.descendants; do (echo 1 > $f) 2>/dev/null && echo "wrote $f"; done
       mkdir below 2>/dev/null && echo "made one"; grep -E ' /sys/fs/cgroup ' /proc/mounts | cut -d' ' -f2,3`,
      { mounts: [{ kind: "cgroup", target: "/sys/fs/cgroup" }] },
    );
    expect(stdout).toBe("0::/\n1\n/sys/fs/cgroup cgroup2\n");
  });

  test("another /proc and /sys hide and protect what the first ones do", async () => {
    const { stdout } = await host.sh(
      `ls /p/1 >/dev/null && echo proc; head -c 1 /p/kcore | wc -c; head -c1 /p/keys | wc -c
       (echo x > /p/sys/kernel/core_pattern) 2>/dev/null && echo "wrote core_pattern"
       (echo h > /p/sysrq-trigger) 2>/dev/null && echo "wrote sysrq"; ls /s/firmware | wc -l
       touch /s/x 2>/dev/null; grep ' /s sysfs ro,' /proc/mounts | wc -l`,
      {
        mounts: [
          { kind: "proc", target: "/p" },
          { kind: "sysfs", target: "/s" },
        ],
      },
    );
    expect(stdout).toBe("proc\n0\n0\n0\n1\n");
  });

  test("a bind without what is mounted below its source, and without execution", async () => {
    const tree = join(host.directory, "flat");
    mkdirSync(join(tree, "below"), { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "t", join(tree, "below")]);
    try {
      writeFileSync(join(tree, "below/file"), "x");
      execFileSync("cp", ["/bin/busybox", join(tree, "true")]);
      const { stdout } = await host.sh("ls /flat/below | wc -l; /flat/true 2>/dev/null || echo refused", {
        mounts: [{ source: tree, target: "/flat", readOnly: false, recursive: false, noExec: true }],
      });
      expect(stdout).toBe("0\nrefused\n");
    } finally {
      execFileSync("umount", [join(tree, "below")]);
    }
  });

  test.each(["slave", "private"] as const)(
    "%s: whether what the host mounts later appears inside",
    async (propagation) => {
      const tree = join(host.directory, propagation);
      mkdirSync(join(tree, "below"), { recursive: true });
      execFileSync("mount", ["--bind", tree, tree]);
      execFileSync("mount", ["--make-shared", tree]);
      try {
        const container = await host.start(
          ["sh", "-c", "trap exit TERM; until [ -e /data/go ]; do sleep 0.02; done; ls /data/below"],
          {
            mounts: [{ source: tree, target: "/data", readOnly: true, propagation }],
          },
        );
        execFileSync("mount", ["-t", "tmpfs", "t", join(tree, "below")]);
        try {
          writeFileSync(join(tree, "below/late"), "");
          writeFileSync(join(tree, "go"), "");
          await container.exited;
          expect(await outputOf(container)).toBe(propagation === "slave" ? "late\n" : "");
          await container.remove();
        } finally {
          execFileSync("umount", [join(tree, "below")]);
        }
      } finally {
        execFileSync("umount", ["-l", tree]);
      }
    },
  );
});

describe("a read-only root", () => {
  test("cannot be written, also by its root, and what is mounted on it can", async () => {
    const { stdout, exit } = await host.sh(
      "touch /x 2>/dev/null && echo root; touch /etc/x 2>/dev/null && echo etc; mount -o remount,rw / 2>/dev/null && echo remount; touch /tmp/y && touch /dev/shm/z && pwd",
      { readOnlyRoot: true, workdir: "/made/for/it", mounts: [{ kind: "tmpfs", target: "/tmp" }] },
    );
    expect(stdout).toBe("/made/for/it\n");
    expect(exit.code).toBe(0);
  });
});

describe("the root file system", () => {
  test("is the container's own: writes touch neither the image nor another container", async () => {
    const before = statSync(join(host.image, "etc/passwd")).mtimeMs;
    const first = await host.sh("echo changed > /etc/passwd; rm /etc/hosts; mkdir /new; cat /etc/passwd");
    expect(first.stdout).toBe("changed\n");
    const second = await host.sh("head -1 /etc/passwd; ls /etc/hosts; ls -d /new 2>/dev/null");
    expect(second.stdout).toBe("root:x:0:0:root:/root:/bin/sh\n/etc/hosts\n");
    expect(statSync(join(host.image, "etc/passwd")).mtimeMs).toBe(before);
  });

  test("belongs to the container's root, whatever its range of ids", async () => {
    const { stdout } = await host.sh(
      "stat -c '%u:%g' / /bin/busybox /root /tmp; stat -c %a /tmp; touch /root/x && stat -c %u /root/x",
    );
    expect(stdout).toBe("0:0\n0:0\n0:0\n0:0\n1777\n0\n");
  });

  test("stacks its layers, topmost first", async () => {
    const top = join(host.directory, "top");
    const middle = join(host.directory, "middle");
    for (const [layer, text] of [
      [top, "top"],
      [middle, "middle"],
    ] as const) {
      mkdirSync(join(layer, "etc"), { recursive: true });
      writeFileSync(join(layer, "etc/who"), text);
    }
    writeFileSync(join(middle, "etc/only-middle"), "middle");
    const { stdout } = await host.sh("cat /etc/who /etc/only-middle; test -e /bin/sh && echo ' bottom'", {
      layers: [top, middle, host.image],
    });
    expect(stdout).toBe("topmiddle bottom\n");
  });

  test("takes 64 layers and 128 mounts", async () => {
    const layers = Array.from({ length: 63 }, (_, i) => {
      const layer = join(host.directory, `many-${i}`);
      mkdirSync(layer, { recursive: true });
      writeFileSync(join(layer, `file-${i}`), "");
      return layer;
    });
    const mounts = Array.from({ length: 128 }, (_, i) => ({ source, target: `/m/${i}`, readOnly: true }));
    const { stdout } = await host.sh("ls / | grep -c file-; ls /m/*/root-only | wc -l", {
      layers: [...layers, host.image],
      mounts,
    });
    expect(stdout).toBe("63\n128\n");
  });
});

describe("kernels that want attached layers", () => {
  test("get them, and nothing of it stays in the host's mount table", async () => {
    const before = readFileSync("/proc/self/mountinfo", "utf8");
    const runtime = await openRuntime({
      stateDir: join(host.directory, "attached"),
      cgroupParent: host.cgroupParent,
      attachLayers: true,
    });
    try {
      const top = join(host.directory, "attached-layer");
      mkdirSync(join(top, "etc"), { recursive: true });
      writeFileSync(join(top, "etc/who"), "top");
      const spec = host.spec(["sh", "-c", "cat /etc/who; echo x > /etc/who; exec sleep 1000"], {
        layers: [top, host.image],
      });
      const result = await runtime.start(spec);
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
      await eventually(async () => (await outputOf(result.value)) === "top");
      await result.value.stop({ signal: 9, graceMs: 0 });
      await result.value.remove();
    } finally {
      await runtime.close();
    }
  });

  test("an overlay that cannot be made says why", async () => {
    const small = join(host.directory, "no-overlay");
    mkdirSync(join(small, "lower"), { recursive: true });
    mkdirSync(join(small, "upper"));
    mkdirSync(join(small, "work"));
    mkdirSync(join(small, "merged"));
    execFileSync("mount", [
      "-t",
      "overlay",
      "o",
      "-o",
      `lowerdir=${small}/lower,upperdir=${small}/upper,workdir=${small}/work`,
      join(small, "merged"),
    ]);
    const runtime = await openRuntime({ stateDir: join(small, "merged/state"), cgroupParent: host.cgroupParent });
    try {
      const result = await runtime.start(host.spec(["true"]));
      expect(result).toMatchObject({ ok: false, error: { stage: "rootfs.overlay", code: "EINVAL" } });
      /* Newer kernels add their reason. */
      if (!result.ok) expect(result.error.detail).toMatch(/^(upperdir: .*upper|mount: )/);
    } finally {
      await runtime.close();
      execFileSync("umount", [join(small, "merged")]);
    }
  });
});
