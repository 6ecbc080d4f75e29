/** Rules 1 and 39: what enters a container cannot be rewritten from inside, and what supervises it holds no secret. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { supervisorPath } from "../../lib/binding.ts";
import { openRuntime } from "../../lib/index.ts";
import { isAlive, outputOf, sanitized, statusField, supervisorOf, testHost } from "../host.ts";
import { onHost, programs, seals } from "./tools.ts";

const host = testHost();
/** C: pulls at PID 1 in every way that the kernel has, and says which worked. */
const pull = `#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
static void tried(const char *what, long result) { printf("%s %s\\n", what, result < 0 ? "refused" : "WORKED"); }
int main(void) {
  char byte = 0;
  struct iovec own = { &byte, 1 }, other = { (void *)0x400000, 1 };
  int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
  tried("seize", ptrace(PTRACE_SEIZE, 1, 0, 0));
  tried("attach", ptrace(PTRACE_ATTACH, 1, 0, 0));
  tried("read", process_vm_readv(1, &own, 1, &other, 1, 0));
  tried("write", process_vm_writev(1, &own, 1, &other, 1, 0));
  for (int fd = 0; fd < 8; fd++) tried("getfd", syscall(SYS_pidfd_getfd, pidfd, fd, 0));
  tried("mem", open("/proc/1/mem", O_RDWR));
  tried("fd", open("/proc/1/fd/3", O_RDWR));
  tried("exe", open("/proc/1/exe", O_WRONLY));
  tried("kcmp", syscall(SYS_kcmp, 1, getpid(), 0, 0, 0));
  return 0;
}`;

/** C: asks a supervisor, by its socket at argv[1], to kill everything; says whether there was an answer. */
const ask = `#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int n, char **v) {
  struct sockaddr_un at = { .sun_family = AF_UNIX };
  unsigned char request[16] = { 1, 3 }, answer[16];
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(at.sun_path, sizeof at.sun_path, "%s", n > 1 ? v[1] : "");
  if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) return perror("connect"), 0;
  if (send(fd, request, sizeof request, MSG_NOSIGNAL) < 0) return perror("write"), 0;
  printf("%s\\n", read(fd, answer, sizeof answer) > 0 ? "ANSWERED" : "no answer");
  return 0;
}`;
const tools = programs(host, { seals, pull, ask });
const traps = join(host.directory, "traps");

beforeAll(() => {
  mkdirSync(join(traps, "bin"), { recursive: true });
  writeFileSync(join(traps, "bin/trap"), "#!/proc/self/exe\n");
  chmodSync(join(traps, "bin/trap"), 0o755);
});

test("supervisor and init run from a memory file sealed against writing, growing, shrinking and other seals", async () => {
  const container = await host.start(["sleep", "1000"]);
  try {
    const init = Number(statusField(container.pid ?? 0, "PPid"));
    for (const pid of [init, supervisorOf(container.pid ?? 0)]) {
      expect(readlinkSync(`/proc/${pid}/exe`)).toBe("/memfd:berth-supervisor (deleted)");
      expect(onHost(tools, "seals", `/proc/${pid}/exe`)).toBe("15\n");
    }
  } finally {
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  }
});

/* With sanitizers it is a dynamic program, whose libraries no image has. */
test.skipIf(sanitized)(
  "a program that is a script for /proc/self/exe gets the sealed copy, which refuses to do anything",
  async () => {
    const before = readFileSync(supervisorPath);
    const { exit, stdout, stderr } = await host.run(["trap"], { layers: [traps, host.image] });
    expect({ code: exit.code, stdout, stderr }).toEqual({ code: 125, stdout: "", stderr: "" });
    expect(readFileSync(supervisorPath).equals(before)).toBe(true);
  },
);

test("no /proc/PID/exe but one's own can be opened for writing, from the first instruction on", async () => {
  const { stdout } = await host.sh(
    `for i in $(seq 200); do
       for p in /proc/[0-9]*; do
         case $p in /proc/1|/proc/2|/proc/self) (echo x >> $p/exe) 2>/dev/null && echo "wrote $p/exe";; esac
       done
     done
     for f in exe mem environ maps fd/3 root cwd ns/mnt auxv stack syscall; do
       (cat /proc/1/$f || readlink /proc/1/$f) >/dev/null 2>&1 && echo "read /proc/1/$f"
     done; echo done`,
  );
  expect(stdout).toBe("done\n");
});

test("init is not dumpable: all of /proc/1 belongs to the host's root", async () => {
  const { stdout } = await host.sh("stat -c %u /proc/1/exe /proc/1/mem /proc/1/environ /proc/1/fd /proc/self/environ");
  expect(stdout).toBe("65534\n65534\n65534\n65534\n0\n");
});

test("the supervisor has an empty environment and descriptors of nothing but its own container", async () => {
  const container = await host.start(["sleep", "1000"]);
  try {
    const supervisor = supervisorOf(container.pid ?? 0);
    expect(readFileSync(`/proc/${supervisor}/environ`, "utf8")).toBe("");
    expect(readFileSync(`/proc/${supervisor}/cmdline`, "utf8")).toBe(`berth-supervisor\0${container.id}\0`);
    const inodes = new Set(
      ["tcp", "tcp6", "udp", "udp6", "raw", "packet", "netlink"].flatMap((table) =>
        readFileSync(`/proc/${supervisor}/net/${table}`, "utf8")
          .split("\n")
          .flatMap((line) => line.trim().split(/\s+/)),
      ),
    );
    const state = join(host.stateDir, container.id);
    const own = readlinkSync(`/proc/${container.pid ?? 0}/ns/mnt`);
    for (const fd of readdirSync(`/proc/${supervisor}/fd`)) {
      const target = readlinkSync(`/proc/${supervisor}/fd/${fd}`);
      /* With it the end of the container is told before all is unmounted. */
      if (target === own) continue;
      const [, socket] = /^socket:\[(\d+)\]$/.exec(target) ?? [];
      if (socket !== undefined) expect(inodes.has(socket), `${target} is a network socket`).toBe(false);
      else
        expect(target, `descriptor ${fd}`).toMatch(
          new RegExp(
            `^(/dev/null|pipe:.*|anon_inode:\\[(eventpoll|pidfd|signalfd|timerfd)\\]|pidfd:.*|${state}(/(lock|stdout|stderr|.*log.*))?|/memfd:berth-spec \\(deleted\\)|/sys/fs/cgroup/.*/${container.id}(/.*)?)$`,
          ),
        );
    }
  } finally {
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  }
});

test("the workload sees neither the supervisor nor any process but init and itself", async () => {
  const { stdout } = await host.sh(
    "ls -d /proc/[0-9]* | xargs; for n in $(seq 1 400); do [ -d /proc/$n ] && echo $n; done | head -2 | xargs",
  );
  expect(stdout.split("\n")[1]).toBe("1 2");
  expect(
    stdout
      .split("\n")[0]
      ?.split(" ")
      .every((path) => Number(path.slice(6)) < 20),
  ).toBe(true);
});

test("init cannot be traced, read, written or robbed of a descriptor, with every capability and call that a host can allow", async () => {
  const runtime = await openRuntime({
    stateDir: join(host.directory, "allowing"),
    cgroupParent: host.cgroupParent,
    allow: { capabilities: ["sys_ptrace", "sys_admin", "dac_read_search", "net_admin"], unconfinedSeccomp: true },
  });
  try {
    const result = await runtime.start(
      host.spec(["pull"], {
        layers: [tools, host.image],
        seccomp: "unconfined",
        capabilities: { add: ["sys_ptrace", "sys_admin", "dac_read_search", "net_admin", "sys_resource"] },
      }),
    );
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    expect(await result.value.exited).toMatchObject({ code: 0 });
    const said = await outputOf(result.value);
    expect(said.trim().split("\n").length).toBe(16);
    expect(said).not.toContain("WORKED");
    await result.value.remove();
  } finally {
    await runtime.close();
  }
});

test("a socket of a supervisor answers nobody but the host's root, even where its directory was given away", async () => {
  const victim = await host.start(["sleep", "1000"]);
  try {
    const mounts = [{ source: join(host.stateDir, victim.id), target: "/state", readOnly: false }];
    const { stdout, stderr } = await host.run(["ask", "/state/control.sock"], { layers: [tools, host.image], mounts });
    expect(`${stdout}${stderr}`).toMatch(/^(no answer|connect: .*|write: .*)\n$/);
    expect(isAlive(victim.pid ?? 0)).toBe(true);
    await victim.signal(18);
  } finally {
    await victim.stop({ signal: 9, graceMs: 0 });
    await victim.remove();
  }
});
