/** What a spec may change of a program's cage: its system call profile, sysctls of its namespaces, hidden paths. */
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type ContainerSpec, type Runtime, type SeccompProfile } from "../lib/index.ts";
import { compileC, outputOf, testHost } from "./host.ts";

const host = testHost();
const layer = join(host.directory, "calls-layer");
let allowing: Runtime;

beforeAll(async () => {
  mkdirSync(join(layer, "bin"), { recursive: true });
  compileC(
    `#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#define TRY(name, call) do { errno = 0; long r = (long)(call); printf("%s %s\\n", name, r >= 0 ? "ok" : strerrorname_np(errno)); fflush(stdout); } while (0)
int main(void) {
  TRY("getppid", syscall(SYS_getppid));
  TRY("keyctl", syscall(SYS_keyctl, 0, -3, 0));
  TRY("lseek-7", syscall(SYS_lseek, 1, 7L, 99));
  TRY("lseek-big", syscall(SYS_lseek, 1, 0x100000007L, 99));
  TRY("chroot", syscall(SYS_chroot, "/"));
  TRY("sync", (sync(), 0));
  return 0;
}`,
    join(layer, "bin/calls"),
  );
  allowing = await openRuntime({
    stateDir: join(host.directory, "allowing"),
    cgroupParent: host.cgroupParent,
    allow: { unconfinedSeccomp: true },
  });
});
afterAll(() => allowing.close());

const calls = async (seccomp: ContainerSpec["seccomp"], runtime = host.runtime) => {
  const spec = host.spec(["calls"], { layers: [layer, host.image] });
  const result = await runtime.start(seccomp === undefined ? spec : { ...spec, seccomp });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  const exit = await result.value.exited;
  const answers = Object.fromEntries(
    (await outputOf(result.value))
      .trim()
      .split("\n")
      .map((line) => line.split(" ")),
  );
  await result.value.remove();
  return { answers, exit };
};

describe("system call profiles", () => {
  const profile = (more: Partial<SeccompProfile>): SeccompProfile => ({
    base: "default",
    defaultAction: "allow",
    rules: [],
    ...more,
  });

  test("refuse beside the default one, by name and by argument, all 64 bits of it", async () => {
    const { answers } = await calls(
      profile({
        rules: [
          { names: ["getppid"], action: { errno: 38 } },
          { names: ["lseek"], action: { errno: 13 }, args: [{ index: 1, operator: "eq", value: 7 }] },
        ],
      }),
    );
    expect(answers).toMatchObject({ getppid: "ENOSYS", keyctl: "EPERM", "lseek-7": "EACCES", chroot: "ok" });
    expect(answers["lseek-big"]).not.toBe("EACCES");
  });

  test("cannot give what the default one refuses", async () => {
    const { answers } = await calls(profile({ rules: [{ names: ["keyctl"], action: "allow" }] }));
    expect(answers).toMatchObject({ keyctl: "EPERM" });
  });

  test("kill", async () => {
    const { exit } = await calls(profile({ rules: [{ names: ["chroot"], action: "kill" }] }));
    expect(exit).toMatchObject({ signal: 31, cause: "signalled" });
  });

  test("a list of what is allowed", async () => {
    const { answers } = await calls(
      profile({
        defaultAction: { errno: 1 },
        rules: [
          {
            names: [
              "execve",
              "write",
              "exit_group",
              "brk",
              "mmap",
              "munmap",
              "arch_prctl",
              "set_tid_address",
              "fstat",
              "newfstatat",
              "prlimit64",
              "readlink",
              "readlinkat",
              "getrandom",
              "mprotect",
              "set_robust_list",
              "rseq",
              "ioctl",
              "uname",
            ],
            action: "allow",
          },
          { names: ["lseek"], action: "allow", args: [{ index: 1, operator: "gt", value: 7n }] },
        ],
      }),
    );
    expect(answers).toMatchObject({ getppid: "EPERM", "lseek-7": "EPERM", chroot: "EPERM" });
    expect(answers["lseek-big"]).not.toBe("EPERM");
  });

  test("one that forbids the start itself says so as 126", async () => {
    const result = await host.runtime.start(
      host.spec(["true"], {
        seccomp: profile({
          rules: [{ names: ["execve"], action: { errno: 1 }, args: [{ index: 3, operator: "ge", value: 0 }] }],
        }),
      }),
    );
    expect(result).toMatchObject({ ok: false, error: { stage: "exec", code: "EPERM" }, exit: { code: 126 } });
  });

  test("none at all, and one instead of the default, only where the host's policy says so", async () => {
    expect(await host.runtime.start(host.spec(["true"], { seccomp: "unconfined" }))).toMatchObject({
      ok: false,
      error: { stage: "spec", detail: "seccomp: unconfined is not allowed by this host's policy" },
    });
    expect(await host.runtime.start(host.spec(["true"], { seccomp: profile({ base: "none" }) }))).toMatchObject({
      ok: false,
      error: { stage: "spec", detail: expect.stringMatching(/^seccomp.base:/) as string },
    });
    expect((await calls("unconfined", allowing)).answers["keyctl"]).not.toBe("EPERM");
    const instead = profile({ base: "none", rules: [{ names: ["sync"], action: "kill" }] });
    const replaced = await calls(instead, allowing);
    expect(replaced.answers["keyctl"]).not.toBe("EPERM");
    expect(replaced.exit.signal).toBe(31);
  });
});

describe("sysctls", () => {
  test("of the container's own namespaces are set, and the host's stay", async () => {
    const names = [
      "net/ipv4/tcp_syncookies",
      "net/ipv4/ip_unprivileged_port_start",
      "kernel/msgmax",
      "kernel/sem",
      "fs/mqueue/msg_max",
    ];
    const before = names.map((name) => readFileSync(`/proc/sys/${name}`, "utf8"));
    const { stdout } = await host.sh(`cd /proc/sys && cat ${names.join(" ")}`, {
      sysctls: {
        "net.ipv4.tcp_syncookies": "2",
        "net.ipv4.ip_unprivileged_port_start": "0",
        "kernel.msgmax": "4242",
        "kernel.sem": "250 32000 32 99",
        "fs.mqueue.msg_max": "7",
      },
    });
    expect(stdout.split("\n").map((line) => line.split(/\s+/).join(" "))).toEqual([
      "2",
      "0",
      "4242",
      "250 32000 32 99",
      "7",
      "",
    ]);
    expect(names.map((name) => readFileSync(`/proc/sys/${name}`, "utf8"))).toEqual(before);
  });

  test.each([
    ["kernel.core_pattern", "|/x"],
    ["kernel.core_pattern", "core"],
    ["kernel.hostname", "x"],
    ["kernel.shmmaxx", "1"],
    ["kernel/shmmax", "1"],
    ["net.core.somaxconn", "1\nkernel.core_pattern=x"],
    ["kernel.shmmax", "1+kernel.core_pattern=x"],
    ["net..core", "1"],
    ["net.core.", "1"],
    ["net.../kernel/core_pattern", "1"],
    ["net.core.somaxconn", ""],
    ["fs.file-max", "1"],
    ["vm.overcommit_memory", "1"],
  ])("%s = %j is refused", async (name, value) => {
    const result = await host.runtime.start(host.spec(["true"], { sysctls: { [name]: value } }));
    expect(result).toMatchObject({ ok: false, error: { stage: "spec" } });
  });

  test("one that this kernel does not know is refused by its name", async () => {
    const result = await host.runtime.start(host.spec(["true"], { sysctls: { "net.core.no_such_thing": "1" } }));
    expect(result).toMatchObject({
      ok: false,
      error: { stage: "sysctl", code: "ENOENT", detail: "net/core/no_such_thing" },
    });
    const wrong = await host.runtime.start(host.spec(["true"], { sysctls: { "net.ipv4.tcp_syncookies": "many" } }));
    expect(wrong).toMatchObject({ ok: false, error: { stage: "sysctl", code: "EINVAL" } });
  });
});

describe("hidden and protected paths", () => {
  test("beside the default ones; they survive what the container's root tries", async () => {
    const { stdout } = await host.sh(
      `cat /etc/passwd /etc/secret; ls -A /home; ls -A /deep/dir; (echo x > /srv/x) 2>/dev/null || echo "no write"
       umount /etc/passwd 2>/dev/null; umount -l /home 2>/dev/null; mount -o remount,rw /srv 2>/dev/null; mount -t tmpfs t /srv 2>/dev/null
       mv /srv /srv2 2>/dev/null; rm -rf /home 2>/dev/null; cat /etc/passwd; ls -A /home; touch /srv/y 2>/dev/null || echo "still no write"; cat /proc/meminfo | wc -l`,
      {
        maskedPaths: ["/etc/passwd", "/home", "/absent/path", "/proc/meminfo", "/deep/dir"],
        readOnlyPaths: ["/srv", "/absent"],
        mounts: [{ kind: "tmpfs", target: "/deep" }],
      },
    );
    expect(stdout.replace(/.*No such file.*\n/g, "")).toMatch(/^no write\nstill no write\n0\n$/);
  });

  test("a link in the image leads inside only", async () => {
    const linked = join(host.directory, "linked-mask");
    mkdirSync(join(linked, "etc"), { recursive: true });
    symlinkSync("../../../../../../etc/hosts", join(linked, "etc/link"));
    const before = readFileSync("/etc/hosts", "utf8");
    const { stdout } = await host.sh("cat /etc/hosts | wc -c", {
      layers: [linked, host.image],
      maskedPaths: ["/etc/link"],
    });
    expect(stdout).toBe("0\n");
    expect(readFileSync("/etc/hosts", "utf8")).toBe(before);
    /* Magic links are not followed at all. */
    expect(await host.runtime.start(host.spec(["true"], { maskedPaths: ["/proc/self/root/etc"] }))).toMatchObject({
      ok: false,
      error: { stage: "mount.mask", code: "ELOOP" },
    });
  });
});
