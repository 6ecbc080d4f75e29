/** What a default container cannot see or do. Read from the host's side where that is possible. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { asNobody, compileC, statusField, supervisorOf, testHost } from "./host.ts";

const host = testHost();

describe("seen from the host", () => {
  test("every namespace is its own, the ids are mapped, privileges are dropped", async () => {
    const container = await host.start(["sleep", "1000"], { idBase: 2_000_000 });
    try {
      const pid = container.pid ?? 0;
      for (const name of ["user", "pid", "mnt", "uts", "ipc", "net", "cgroup"]) {
        expect(readlinkSync(`/proc/${pid}/ns/${name}`), name).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
      }
      expect(readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/)).toEqual(["0", "2000000", "65536"]);
      expect(readFileSync(`/proc/${pid}/gid_map`, "utf8").trim().split(/\s+/)).toEqual(["0", "2000000", "65536"]);
      expect(statusField(pid, "Uid")).toBe("2000000\t2000000\t2000000\t2000000");
      expect(statusField(pid, "Gid")).toBe("2000000\t2000000\t2000000\t2000000");
      expect(statusField(pid, "Groups").trim()).toBe("");
      expect(statusField(pid, "NoNewPrivs")).toBe("1");
      expect(statusField(pid, "Seccomp")).toBe("2");
      /* chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot setfcap */
      const kept = "00000000800405fb";
      for (const set of ["CapPrm", "CapEff", "CapBnd"]) expect(statusField(pid, set), set).toBe(kept);
      for (const set of ["CapInh", "CapAmb"]) expect(statusField(pid, set), set).toBe("0000000000000000");
      expect(statusField(pid, "NSpid").split("\t")).toEqual([String(pid), "2"]);
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });

  test("three descriptors and no more, in the program and in its init", async () => {
    const container = await host.start(["sleep", "1000"]);
    try {
      const pid = container.pid ?? 0;
      expect(readdirSync(`/proc/${pid}/fd`).sort()).toEqual(["0", "1", "2"]);
      expect(readlinkSync(`/proc/${pid}/fd/0`)).toBe("/dev/null");
      const init = Number(statusField(pid, "PPid"));
      expect(readdirSync(`/proc/${init}/fd`).sort()).toEqual(["0", "1", "2", "3", "4"]);
      expect(statusField(init, "CapEff")).toBe("0000000000000020");
      expect(readlinkSync(`/proc/${init}/exe`)).toBe("/memfd:berth-supervisor (deleted)");
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });

  test("nothing of the container appears in the host's mount table", async () => {
    const before = readFileSync("/proc/self/mountinfo", "utf8");
    const container = await host.start(["sleep", "1000"], {
      mounts: [{ source: host.image, target: "/data", readOnly: true }],
    });
    try {
      expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });

  test("the supervisor has a session of its own and does not sit in the container's namespaces", async () => {
    const container = await host.start(["sleep", "1000"]);
    try {
      const supervisor = supervisorOf(container.pid ?? 0);
      const stat = readFileSync(`/proc/${supervisor}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
      expect(stat[3], "session").toBe(String(supervisor));
      for (const name of ["user", "pid", "mnt", "net"]) {
        expect(readlinkSync(`/proc/${supervisor}/ns/${name}`), name).toBe(readlinkSync(`/proc/self/ns/${name}`));
      }
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });
});

describe("seen from inside", () => {
  test("its own host name, processes, network and nothing of the host's files", async () => {
    const { stdout } = await host.sh(
      "hostname; ls /proc | grep -E '^[0-9]+$' | head -2 | xargs; ls /sys/class/net | xargs; ls / | xargs",
      {
        hostname: "inside.example",
      },
    );
    expect(stdout.split("\n")).toEqual([
      "inside.example",
      "1 2",
      "lo",
      "bin dev etc home mnt proc root run sbin srv sys tmp usr var",
      "",
    ]);
  });

  test("loopback works", async () => {
    const { stdout } = await host.sh(
      "ping -c 1 -W 2 127.0.0.1 >/dev/null 2>&1; nc -l -p 8080 -e echo hi & sleep 0.3; nc 127.0.0.1 8080 </dev/null",
    );
    expect(stdout).toBe("hi\n");
  });

  test("PID 1 shows nothing of itself and cannot be written", async () => {
    const { stdout } = await host.sh(
      'for f in exe fd mem environ maps root cwd; do if cat /proc/1/$f >/dev/null 2>&1 || readlink /proc/1/$f >/dev/null 2>&1 || ls /proc/1/$f/ >/dev/null 2>&1; then echo "reads $f"; fi; done; (echo x > /proc/1/exe) 2>/dev/null && echo "writes exe"; (echo x > /proc/1/mem) 2>/dev/null && echo "writes mem"; (echo 100 > /proc/1/oom_score_adj) 2>/dev/null && echo "writes oom"; kill -9 1; kill -STOP 1; sleep 0.1; echo alive',
    );
    expect(stdout).toBe("alive\n");
  });

  test("masked files are empty, masked directories too, and stay so", async () => {
    const { stdout } = await host.sh(`
      for f in kcore keys timer_list sched_debug latency_stats interrupts timer_stats; do
        [ -e /proc/$f ] && [ "$(head -c 1 /proc/$f 2>/dev/null | wc -c)" != 0 ] && echo "read $f"
        umount /proc/$f 2>/dev/null && echo "umount $f"
      done
      for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/devices/virtual/powercap; do
        [ -n "$(ls $d 2>/dev/null)" ] && echo "list $d"
        umount $d 2>/dev/null && echo "umount $d"
        mount -o remount,rw $d 2>/dev/null && echo "remount $d"
      done
      mount -t proc proc /mnt 2>/dev/null && echo "mounted proc"
      mount -t tmpfs t /proc/keys 2>/dev/null && echo "mounted over a mask"
      echo done`);
    expect(stdout).toBe("done\n");
  });

  test("the kernel's switches are read-only", async () => {
    const { stdout } = await host.sh(`
      for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/class/net/lo/mtu; do
        (echo x > $f) 2>/dev/null && echo "wrote $f"
      done
      mount -o remount,rw /proc/sys 2>/dev/null && echo "remounted"
      mount -o remount,rw /sys 2>/dev/null && echo "remounted /sys"
      find /proc/bus /proc/fs /proc/irq /proc/sys -type f -writable 2>/dev/null | head -3
      [ -e /sys/fs/cgroup/cgroup.procs ] && (echo 1 > /sys/fs/cgroup/cgroup.procs) 2>/dev/null && echo "wrote to a cgroup"
      mkdir /sys/fs/cgroup/mine 2>/dev/null && echo "made a cgroup"
      mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo "remounted cgroups"
      echo done`);
    expect(stdout).toBe("done\n");
  });

  test("/dev holds six harmless nodes, and no other can be made or opened", async () => {
    const { stdout } = await host.sh(`
      find /dev -type c -o -type b | sort | xargs
      mknod /dev/disk b 254 0 2>/dev/null && echo "made a disk"
      mknod /tmp/disk b 254 0 2>/dev/null && echo "made a disk"
      echo x > /dev/null && head -c 4 /dev/zero | wc -c && head -c 4 /dev/urandom | wc -c
      ls -d /dev/shm /dev/mqueue /dev/pts /dev/fd | xargs
      echo y > /dev/shm/t && cat /dev/shm/t; echo out > /dev/stdout; echo err > /dev/stderr`);
    expect(stdout.split("\n")).toEqual([
      "/dev/full /dev/null /dev/pts/ptmx /dev/random /dev/tty /dev/urandom /dev/zero",
      "4",
      "4",
      "/dev/fd /dev/mqueue /dev/pts /dev/shm",
      "y",
      "out",
      "",
    ]);
  });

  test("a device node in an image cannot be opened", async () => {
    const layer = join(host.directory, "device-layer");
    execFileSync("mkdir", ["-p", layer]);
    execFileSync("mknod", [join(layer, "null"), "c", "1", "3"]);
    const { stdout } = await host.sh("ls /null; cat /null 2>&1", { layers: [layer, host.image] });
    expect(stdout).toMatch(/^\/null\ncat: can't open '\/null': Permission denied\n$/);
  });

  test("an image with a symbolic link at /proc is refused", async () => {
    for (const name of ["proc", "sys", "dev"]) {
      const layer = join(host.directory, `${name}-layer`);
      mkdirSync(join(layer, "elsewhere"), { recursive: true });
      symlinkSync("elsewhere", join(layer, name));
      const result = await host.runtime.start(host.spec(["/bin/true"], { layers: [layer] }));
      expect(result).toMatchObject({ ok: false, error: { stage: `mount.${name}`, code: "ELOOP" } });
    }
  });
});

/**
 * One static program that tries system calls and prints the errno of each: a shell cannot make them.
 */
const probe = `
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#define TRY(name, call) do { errno = 0; long r = (long)(call); printf("%s %s\\n", name, r >= 0 ? "allowed" : strerrorname_np(errno)); } while (0)
static int ended_by(void (*f)(void)) { fflush(stdout); pid_t p = fork(); if (p == 0) { f(); _exit(0); } int s; waitpid(p, &s, 0); return WIFSIGNALED(s) ? WTERMSIG(s) : 0; }
static void i386(void) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20)); }
static void x32(void) { syscall(0x40000000 + 39); }
int main(void) {
  struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = 17 };
  TRY("unshare-user", unshare(CLONE_NEWUSER));
  TRY("unshare-mount", unshare(CLONE_NEWNS));
  TRY("clone-user", syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0));
  TRY("clone3", syscall(SYS_clone3, &args, sizeof args));
  TRY("setns", setns(0, 0));
  TRY("mount", mount("t", "/tmp", "tmpfs", 0, 0));
  TRY("umount", umount2("/proc/keys", MNT_DETACH));
  TRY("pivot_root", syscall(SYS_pivot_root, ".", "."));
  TRY("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
  TRY("open_tree_attr", syscall(467, AT_FDCWD, "/", 1, 0, 0));
  TRY("move_mount", syscall(SYS_move_mount, 0, "", 0, "", 0));
  TRY("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
  TRY("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, 0, 0));
  TRY("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 0));
  TRY("add_key", syscall(SYS_add_key, "user", "a", "b", 1, -3));
  TRY("request_key", syscall(SYS_request_key, "user", "a", 0, 0));
  TRY("bpf", syscall(SYS_bpf, 0, 0, 0));
  TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
  TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, 0));
  TRY("perf_event_open", syscall(SYS_perf_event_open, 0, 0, 0, 0, 0));
  TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, 0, 0));
  TRY("name_to_handle_at", syscall(SYS_name_to_handle_at, 0, 0, 0, 0, 0));
  TRY("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
  TRY("process_vm_readv", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
  TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
  TRY("init_module", syscall(SYS_init_module, 0, 0, 0));
  TRY("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
  TRY("swapon", syscall(SYS_swapon, 0, 0));
  TRY("syslog", syscall(SYS_syslog, 3, 0, 0));
  TRY("settimeofday", syscall(SYS_settimeofday, 0, 0));
  TRY("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
  TRY("tiocsti", ioctl(0, 0x5412, "x"));
  TRY("tiocsti-high-bits", syscall(SYS_ioctl, 0, 0xdeadbeef00005412UL, "x"));
  TRY("vsock", socket(40, SOCK_STREAM, 0));
  TRY("sethostname", sethostname("x", 1));
  TRY("raw-socket", socket(2, SOCK_RAW, 1));
  TRY("chroot", syscall(SYS_chroot, "/tmp"));
  TRY("setuid-0-keeps-nothing", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
  printf("i386 killed by %d\\n", ended_by(i386));
  printf("x32 killed by %d\\n", ended_by(x32));
  return 0;
}`;

describe("system calls", () => {
  const layer = join(host.directory, "probe-layer");
  beforeAll(() => {
    mkdirSync(join(layer, "bin"), { recursive: true });
    compileC(probe, join(layer, "bin/probe"));
    compileC(asNobody, join(layer, "bin/as-nobody"));
  });

  test("the default filter refuses what could reach the host", async () => {
    const { stdout, exit } = await host.run(["probe"], { layers: [layer, host.image] });
    expect(exit.code).toBe(0);
    const lines = stdout.trim().split("\n");
    const allowed = lines.filter((line) => line.endsWith(" allowed"));
    expect(allowed).toEqual(["chroot allowed"]);
    expect(lines).toContain("clone3 ENOSYS");
    expect(lines).toContain("i386 killed by 31");
    expect(lines).toContain("x32 killed by 31");
    const refused = lines.filter(
      (line) => !/ (EPERM|ENOSYS|EAFNOSUPPORT|allowed)$/.test(line) && !line.includes("killed"),
    );
    expect(refused, "refused for another reason than the filter").toEqual([]);
  });

  test("a set-uid program gains nothing", async () => {
    const { stdout, stderr } = await host.sh(
      "cp /bin/busybox /tmp/id; cp /bin/busybox /tmp/grep; chmod 4755 /tmp/id /tmp/grep; as-nobody /tmp/id -u; as-nobody /tmp/grep CapEff /proc/self/status",
      { layers: [layer, host.image] },
    );
    expect(stderr).toBe("");
    expect(stdout.replace(/\s+/g, " ").trim()).toBe("65534 CapEff: 0000000000000000");
  });
});
