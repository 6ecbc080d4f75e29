/** Rules 2, 3, 9 and 32: nothing that was open in the agent is open in a container, under any name. */
import { spawn } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { supervisorOf, testHost } from "../host.ts";
import { agentScript } from "../built-agent.ts";

const host = testHost();

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
  const before = statSync("/dev/null");
  const { stdout } = await host.sh(
    "stat -L -c '%u %F' /proc/self/fd/1; chmod 600 /proc/self/fd/0 2>/dev/null && echo chmod; chown 1:1 /proc/self/fd/0 2>/dev/null && echo chown; echo done",
  );
  const after = statSync("/dev/null");
  /* Should the test fail, the host is not to suffer. */
  chownSync("/dev/null", before.uid, before.gid);
  chmodSync("/dev/null", before.mode & 0o7777);
  expect(stdout).toBe("0 fifo\ndone\n");
  expect({ uid: after.uid, gid: after.gid, mode: after.mode }).toEqual({
    uid: before.uid,
    gid: before.gid,
    mode: before.mode,
  });
});

test("standard input is empty, and its descriptor is no way out", async () => {
  const { stdout } = await host.sh(
    "cat; ls /proc/self/fd/0/.. 2>/dev/null; ls /proc/self/fd/0/ >/dev/null 2>&1 && echo listed; echo done",
  );
  expect(stdout).toBe("done\n");
});
