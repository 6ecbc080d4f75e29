/** Rules 2, 3, 9 and 32: nothing that was open in the agent is open in a container, under any name. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually, outputOf, supervisorOf, testHost } from "../host.ts";
import { agentScript } from "../built-agent.ts";
import { programs } from "./tools.ts";

const host = testHost();
/** C: writes 8 MiB once there is the file argv[1]; sets a flag of its standard input, which splice(2) into it heeds. */
const flood = `#include <unistd.h>
int main(int n, char **v) {
  static char bytes[65536];
  while (n > 1 && access(v[1], F_OK)) usleep(10000);
  for (int i = 0; i < 128; i++) if (write(1, bytes, sizeof bytes) < 0) return 1;
  return 0;
}`;
const append = `#include <fcntl.h>
#include <unistd.h>
int main(int n, char **v) { return fcntl(0, F_SETFL, O_APPEND) || (n > 1 && execv(v[1], v + 1)); }`;
/** C: tells that it watches its standard input, and then of anything that happens to that file. */
const watch = `#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>
int main(void) {
  char bytes[4096];
  int fd = inotify_init();
  if (inotify_add_watch(fd, "/proc/self/fd/0", IN_ALL_EVENTS) < 0 || puts("watches") < 0 || fflush(stdout)) return 1;
  return read(fd, bytes, sizeof bytes) > 0 && puts("saw") >= 0 ? 0 : 1;
}`;
const tools = programs(host, { flood, append, watch });

test("a workload lists its descriptors and sees 0, 1 and 2", async () => {
  const { stdout } = await host.run(["/bin/busybox", "ls", "/proc/self/fd/"]);
  /* 3 is the directory that ls reads. */
  expect(stdout.trim().split("\n")).toEqual(["0", "1", "2", "3"]);
  const { stdout: none } = await host.sh(
    "for n in $(seq 3 300); do [ -e /proc/$$/fd/$n ] && readlink /proc/$$/fd/$n; done; echo done",
  );
  expect(none).toBe("done\n");
});

test("a descriptor that an agent forgot to close reaches neither the supervisor nor the workload", async () => {
  const secret = join(host.directory, "secret");
  writeFileSync(secret, "the agent's");
  const spec = host.spec(["sleep", "1000"], { id: "leak" });
  const stateDir = join(host.directory, "leaky");
  mkdirSync(stateDir);
  const argument = JSON.stringify({ stateDir, cgroupParent: host.cgroupParent, specs: [spec] });
  /* Above a gap, where Node does not look for inherited descriptors to close. */
  const child = spawn(
    "bash",
    ["-c", 'exec 200<"$0" 300<"$0"; exec "$@"', secret, process.execPath, agentScript(), argument],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    const pid = await new Promise<number>((resolve, reject) => {
      let text = "";
      child.stdout.on("data", (chunk: Buffer) => {
        text += chunk.toString("utf8");
        const [, found] = /"pid":(\d+)/.exec(text) ?? [];
        if (found !== undefined) resolve(Number(found));
      });
      child.on("exit", () => reject(new Error(`the agent ended: ${text}`)));
    });
    expect(readlinkSync(`/proc/${child.pid}/fd/200`), "the agent does hold it").toBe(secret);
    const links = (of: number) => readdirSync(`/proc/${of}/fd`).map((fd) => readlinkSync(`/proc/${of}/fd/${fd}`));
    expect(readdirSync(`/proc/${pid}/fd`).sort()).toEqual(["0", "1", "2"]);
    expect(links(supervisorOf(pid))).not.toContain(secret);
    process.kill(pid, "SIGKILL");
  } finally {
    child.kill("SIGKILL");
  }
});

test("a working directory of /proc/self/fd/N is refused for every N", async () => {
  const numbers = Array.from({ length: 40 }, (_, n) => n);
  const names = [
    ...numbers.map((n) => `/proc/self/fd/${n}`),
    ...[3, 5, 8].map((n) => `/proc/self/fd/${n}/tmp`),
    "/proc/1/cwd",
    "/proc/self/root",
    "/proc/thread-self/root/etc",
  ];
  for (const workdir of names) {
    const result = await host.runtime.start(host.spec(["/bin/pwd"], { workdir }));
    if (result.ok) await result.value.stop({ signal: 9, graceMs: 0 });
    expect(result, workdir).toMatchObject({ ok: false, error: { stage: "workdir" } });
  }
});

test("a working directory lies inside, whatever the image's links say", async () => {
  const { stdout } = await host.sh("pwd; ls / | grep -c proc", { workdir: "/srv/made/for/it" });
  expect(stdout).toBe("/srv/made/for/it\n1\n");
});

test("/dev/null of the host keeps its owner and mode; pipes that were made for a container are its own", async () => {
  const { stdout } = await host.sh(
    "stat -L -c '%u %F' /proc/self/fd/1; chmod 600 /proc/self/fd/0 2>/dev/null && echo chmod; chown 1:1 /proc/self/fd/0 2>/dev/null && echo chown; echo done",
  );
  const after = statSync("/dev/null");
  /* Should the test fail, the host is not to suffer. */
  chownSync("/dev/null", 0, 0);
  chmodSync("/dev/null", 0o666);
  expect(stdout).toBe("0 fifo\nchmod\nchown\ndone\n");
  /* Not compared with what it was before: another container may have had it already. */
  expect([after.uid, after.gid, after.mode & 0o7777]).toEqual([0, 0, 0o666]);
});

test("standard input is empty, and its descriptor is no way out", async () => {
  const { stdout } = await host.sh(
    "cat; ls /proc/self/fd/0/.. 2>/dev/null; ls /proc/self/fd/0/ >/dev/null 2>&1 && echo listed; echo done",
  );
  expect(stdout).toBe("done\n");
});

test("flags that a program sets on its standard input are no matter to the supervisor", async () => {
  const log = { maxBytes: 0 };
  const layers = [tools, host.image];
  const { exit } = await host.run(["append", "/bin/flood"], { layers, log });
  expect(exit).toMatchObject({ code: 0, droppedBytes: 8 * 2 ** 20 });
  const container = await host.start(["flood", "/go"], { layers, log });
  const executed = await container.exec({ command: ["append"] });
  expect(executed.ok && (await executed.value.exited).code).toBe(0);
  const told = await container.exec({ command: ["touch", "/go"] });
  expect(told.ok && (await told.value.exited).code).toBe(0);
  expect(await container.exited).toMatchObject({ code: 0, droppedBytes: 8 * 2 ** 20 });
  await container.remove();
});

test("what happens to /dev/null of the host cannot be watched", async () => {
  const container = await host.start(["watch"], { layers: [tools, host.image] });
  await eventually(async () => (await outputOf(container)) !== "");
  const null_ = openSync("/dev/null", "w");
  writeSync(null_, "x");
  closeSync(null_);
  const executed = await container.exec({ command: ["sh", "-c", "sleep 0.2; stat -L -c %t:%T /proc/self/fd/0; cat"] });
  if (!executed.ok) throw new Error(JSON.stringify(executed.error));
  executed.value.stdout.setEncoding("utf8");
  expect((await executed.value.stdout.toArray()).join("")).toBe("1:3\n");
  expect(await outputOf(container)).toBe("watches\n");
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
});
