/** Rules 1 and 39: what enters a container cannot be rewritten from inside, and what supervises it holds no secret. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { supervisorPath } from "../../lib/binding.ts";
import { statusField, supervisorOf, testHost } from "../host.ts";
import { onHost, programs, seals } from "./tools.ts";

const host = testHost();
const tools = programs(host, { seals });
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

test("a program that is a script for /proc/self/exe gets the sealed copy, which refuses to do anything", async () => {
  const before = readFileSync(supervisorPath);
  const { exit, stdout, stderr } = await host.run(["trap"], { layers: [traps, host.image] });
  expect({ code: exit.code, stdout, stderr }).toEqual({ code: 125, stdout: "", stderr: "" });
  expect(readFileSync(supervisorPath).equals(before)).toBe(true);
});

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
    for (const fd of readdirSync(`/proc/${supervisor}/fd`)) {
      const target = readlinkSync(`/proc/${supervisor}/fd/${fd}`);
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
