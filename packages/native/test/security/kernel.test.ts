/** Rules 8, 10, 11, 23, 27, 28, 29 and 33: /proc, /sys and mounts as a container finds them, and cannot change them. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually, outputOf, statusField, testHost } from "../host.ts";
import { programs } from "./tools.ts";

const host = testHost();

/** C: tries to undo, change or cover the mount at each path given, in every way there is; prints what worked. */
const undo = `#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>
#define TRY(what, call) do { if ((call) == 0) printf("%s %s\\n", what, p); } while (0)
int main(int n, char **v) {
  for (int i = 1; i < n; i++) {
    const char *p = v[i];
    struct mount_attr rw = { .attr_clr = MOUNT_ATTR_RDONLY };
    TRY("umount", umount2(p, 0));
    TRY("detach", umount2(p, MNT_DETACH | UMOUNT_NOFOLLOW));
    TRY("remount", mount("", p, "", MS_REMOUNT, ""));
    TRY("remount-bind", mount("", p, "", MS_REMOUNT | MS_BIND, ""));
    TRY("bind-over", mount("/tmp", p, "", MS_BIND, ""));
    TRY("tmpfs-over", mount("t", p, "tmpfs", 0, ""));
    TRY("proc-over", mount("p", p, "proc", 0, ""));
    TRY("move", mount(p, "/tmp", "", MS_MOVE, ""));
    TRY("setattr", syscall(SYS_mount_setattr, AT_FDCWD, p, AT_RECURSIVE, &rw, sizeof rw));
    TRY("propagation", mount("", p, "", MS_SHARED | MS_REC, ""));
    long tree = syscall(SYS_open_tree, AT_FDCWD, p, 1);
    if (tree >= 0) printf("clone %s\\n", p);
  }
  long fs = syscall(SYS_fsopen, "proc", 0);
  if (fs >= 0) printf("a new proc\\n");
  if (mount("c", "/tmp", "cgroup", 0, "rdma") == 0) printf("a v1 hierarchy\\n");
  if (mount("c", "/tmp", "cgroup2", 0, "") == 0) printf("a v2 hierarchy\\n");
  printf("done\\n");
  return 0;
}`;
const tools = programs(host, { undo });
const layers = () => [tools, host.image];

const MASKED_FILES = ["kcore", "keys", "timer_list", "sched_debug", "latency_stats", "interrupts", "timer_stats"].map(
  (name) => `/proc/${name}`,
);
const MASKED_DIRS = [
  "/sys/kernel/boot_params",
  "/proc/acpi",
  "/proc/scsi",
  "/proc/asound",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
  "/sys/fs/selinux",
  ...readdirSync("/sys/devices/system/cpu")
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => `/sys/devices/system/cpu/${name}/thermal_throttle`),
];
const READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/pressure", "/proc/sys", "/proc/sysrq-trigger", "/sys"];

describe("masks", () => {
  test("are the null device that the supervisor made, character 1:3, over files; empty over directories", async () => {
    const { stdout } = await host.sh(
      `for f in ${MASKED_FILES.join(" ")}; do [ -e $f ] && stat -c '%n %F %t:%T' $f && [ "$(dd if=$f bs=16 count=1 2>/dev/null | wc -c)" != 0 ] && echo "reads $f"; done
       for d in ${MASKED_DIRS.join(" ")}; do [ -e $d ] && ls -A $d | sed "s:^:$d has :"; done; echo done`,
    );
    const lines = stdout.trim().split("\n");
    expect(lines.pop()).toBe("done");
    expect(lines.filter((line) => !line.endsWith(" character special file 1:3"))).toEqual([]);
    expect(lines).toEqual(
      MASKED_FILES.filter((path) => existsSync(path)).map((path) => `${path} character special file 1:3`),
    );
  });

  test("cover everything of the list that this kernel has", async () => {
    const container = await host.start(["sleep", "1000"]);
    try {
      const points = new Set(
        readFileSync(`/proc/${container.pid}/mountinfo`, "utf8")
          .trim()
          .split("\n")
          .map((line) => line.split(" ")[4]),
      );
      const expected = [...MASKED_FILES, ...MASKED_DIRS, ...READ_ONLY].filter((path) => existsSync(path));
      expect(expected.filter((path) => !points.has(path))).toEqual([]);
      expect(expected.length).toBeGreaterThan(6);
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });

  test("survive umount, remount, a second mount over them and every newer call", async () => {
    const all = [...MASKED_FILES, ...MASKED_DIRS, ...READ_ONLY, "/", "/proc", "/dev"];
    const { stdout } = await host.run(["undo", ...all], { layers: layers() });
    expect(stdout).toBe("done\n");
  });
});

test("the kernel's switches cannot be written: sysrq, core_pattern, modprobe, uevent helper, every sysctl", async () => {
  const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
  const { stdout } = await host.sh(`
    for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /proc/sys/fs/binfmt_misc/register /proc/sys/vm/panic_on_oom /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/power/state /sys/kernel/mm/transparent_hugepage/enabled; do
      [ -e $f ] && (echo x > $f) 2>/dev/null && echo "wrote $f"
    done
    find /proc/bus /proc/fs /proc/irq /proc/sys -type f 2>/dev/null | while read f; do (: >> $f) 2>/dev/null && echo "writable $f"; done | head -5
    echo done`);
  expect(stdout).toBe("done\n");
  expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(before);
});

test("cgroups: a namespace of its own, none writable, no release_agent, no hierarchy can be mounted", async () => {
  const { stdout } = await host.sh(
    `cut -d: -f3 /proc/self/cgroup | sort -u
     find / -xdev -name release_agent 2>/dev/null; find /sys/fs/cgroup -name release_agent 2>/dev/null
     [ -e /sys/fs/cgroup/cgroup.procs ] && (echo 1 > /sys/fs/cgroup/cgroup.procs) 2>/dev/null && echo joined
     mkdir /sys/fs/cgroup/mine 2>/dev/null && echo made
     undo`,
    { layers: layers() },
  );
  expect(stdout).toBe("/\ndone\n");
});

describe("mounts", () => {
  test("all of them are private: none has a peer or a master", async () => {
    const volume = join(host.directory, "with-peers");
    mkdirSync(volume, { recursive: true });
    execFileSync("mount", ["--bind", volume, volume]);
    try {
      execFileSync("mount", ["--make-shared", volume]);
      const container = await host.start(["sleep", "1000"], {
        mounts: [{ source: volume, target: "/data", readOnly: true }],
      });
      try {
        for (const pid of [container.pid, Number(statusField(container.pid ?? 0, "PPid"))]) {
          const info = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
          expect(info).toContain(" /data ");
          expect(info).not.toMatch(/ (shared|master|propagate_from):\d+/);
        }
      } finally {
        await container.stop({ signal: 9, graceMs: 0 });
        await container.remove();
      }
    } finally {
      execFileSync("umount", [volume]);
    }
  });

  test("what the host mounts below a volume later does not appear inside, though it is shared on the host", async () => {
    const volume = join(host.directory, "shared");
    mkdirSync(volume, { recursive: true });
    /* Not a tmpfs: those map ids since Linux 6.3 only. */
    execFileSync("mount", ["--bind", volume, volume]);
    try {
      execFileSync("mount", ["--make-shared", volume]);
      mkdirSync(join(volume, "later"), { recursive: true });
      const container = await host.start(
        ["sh", "-c", "while [ ! -e /data/go ]; do sleep 0.02; done; ls /data/later; echo done"],
        { mounts: [{ source: volume, target: "/data", readOnly: false }] },
      );
      execFileSync("mount", ["-t", "tmpfs", "later", join(volume, "later")]);
      try {
        writeFileSync(join(volume, "later/of-the-host"), "");
        writeFileSync(join(volume, "go"), "");
        await container.exited;
        expect(await outputOf(container)).toBe("done\n");
      } finally {
        execFileSync("umount", [join(volume, "later")]);
        await container.stop({ signal: 9, graceMs: 0 });
        await container.remove();
      }
    } finally {
      execFileSync("umount", [volume]);
    }
  });

  test("nothing of a container appears in the host's mount table, at no moment of its life", async () => {
    const table = () => readFileSync("/proc/self/mountinfo", "utf8");
    const before = table();
    const starts = Array.from({ length: 10 }, () => host.start(["sleep", "1000"]));
    let checks = 0;
    const all = Promise.all(starts);
    let pending = true;
    void all.finally(() => (pending = false));
    await eventually(() => {
      expect(table()).toBe(before);
      checks += 1;
      return !pending;
    });
    expect(checks).toBeGreaterThan(0);
    for (const container of await all) {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
    expect(table()).toBe(before);
  });

  test("none can be seen that names a directory of the host", async () => {
    const { stdout } = await host.sh("cat /proc/self/mountinfo");
    expect(stdout).not.toContain(host.directory);
    expect(stdout).not.toMatch(/ \/dev\/(?!null|pts|shm|mqueue)\S+ - /);
  });
});
