/** Who the program is and what it may: checked from inside and, where the kernel tells, from the host. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type ContainerSpec } from "../lib/index.ts";
import { compileC, outputOf, statusField, testHost } from "./host.ts";

const host = testHost();
const layer = join(host.directory, "users-layer");
let layers: readonly string[] = [];

beforeAll(() => {
  mkdirSync(join(layer, "etc"), { recursive: true });
  writeFileSync(
    join(layer, "etc/passwd"),
    [
      "root:x:0:0:root:/root:/bin/sh",
      "broken line",
      "app:x:1000:1001:App:/srv/app:/bin/sh",
      "nohome:x:1002:1002::relative:/bin/sh",
      "huge:x:70000:70000::/:/bin/sh",
      "minus:x:-1:-1::/:/bin/sh",
      `long:x:1003:1003:${"x".repeat(20_000)}:/:/bin/sh`,
      "last:x:1004:1004::/last:/bin/sh",
    ].join("\n"),
  );
  writeFileSync(
    join(layer, "etc/group"),
    "root:x:0:\naudio:x:29:app,other\nvideo:x:44:other,app\napple:x:45:apple\nprimary:x:1001:app\nbig:x:99999:app\n",
  );
  layers = [layer, host.image];
});

const identity = async (more: Partial<ContainerSpec>): Promise<string> => {
  const { stdout, stderr } = await host.sh(
    `awk '/^(Uid|Gid)/ { printf "%s ", $2 } /^Groups/ { $1 = ""; print "(" $0 " )" }' /proc/self/status; echo $HOME`,
    { layers, ...more },
  );
  return stdout.trim().replaceAll("\n", " ") + stderr;
};

const refusal = async (more: Partial<ContainerSpec>) => {
  const result = await host.runtime.start(host.spec(["true"], { layers, ...more }));
  expect(result.ok).toBe(false);
  return result.ok ? undefined : result.error;
};

describe("user", () => {
  test.each<readonly [string, Partial<ContainerSpec>, string]>([
    ["nobody said", {}, "0 0 ( ) /root"],
    ["a name", { user: "app" }, "1000 1001 ( 29 44 ) /srv/app"],
    ["a uid that the image knows", { user: "1000" }, "1000 1001 ( 29 44 ) /srv/app"],
    ["a uid that it does not know", { user: "4711" }, "4711 0 ( ) /"],
    ["name and group", { user: "app:audio" }, "1000 29 ( ) /srv/app"],
    ["numbers", { user: "12:34" }, "12 34 ( ) /"],
    ["a uid and a group's name", { user: "12:video" }, "12 44 ( ) /"],
    ["more groups", { user: "app:0", groups: ["audio", "7"] }, "1000 0 ( 7 29 ) /srv/app"],
    ["groups for root", { groups: ["video"] }, "0 0 ( 44 ) /root"],
    ["a home that is no path", { user: "nohome" }, "1002 1002 ( ) /"],
    ["the last line, without its end", { user: "last" }, "1004 1004 ( ) /last"],
    ["HOME of the spec wins", { user: "app", env: { HOME: "/x", PATH: "/bin" } }, "1000 1001 ( 29 44 ) /x"],
    ["an image without the files", { user: "5:6", layers: [] }, "5 6 ( ) /"],
  ])("%s", async (name, more, expected) => {
    const bare = join(host.directory, "bare");
    if (name.startsWith("an image without")) {
      mkdirSync(join(bare, "bin"), { recursive: true });
      execFileSync("cp", ["/bin/busybox", join(bare, "bin/sh")]);
      execFileSync("cp", ["/bin/busybox", join(bare, "bin/awk")]);
    }
    expect(await identity(name.startsWith("an image without") ? { ...more, layers: [bare] } : more)).toBe(expected);
  });

  test.each([
    ["a name that the image does not know", { user: "stranger" }, /passwd has no user "stranger"/],
    ["a group that it does not know", { user: "app:stranger" }, /group has no group "stranger"/],
    ["a user beyond the container's ids", { user: "huge" }, /70000 is none of/],
    ["a uid beyond them", { user: "65536" }, /65536 is none of/],
    ["a gid beyond them", { user: "1:65536" }, /65536 is none of/],
    ["a user whose line makes no sense", { user: "minus" }, /no user "minus"/],
    ["a user whose line is too long to read", { user: "long" }, /no user "long"/],
  ])("%s is refused", async (_name, more, detail) => {
    const error = await refusal(more);
    expect(error).toMatchObject({ stage: "user" });
    expect(error?.detail).toMatch(detail);
  });

  test("a passwd that is no file of the image is never waited for, nor read from outside", async () => {
    const fifo = join(host.directory, "fifo-layer");
    mkdirSync(join(fifo, "etc"), { recursive: true });
    execFileSync("mkfifo", [join(fifo, "etc/passwd")]);
    expect(await refusal({ layers: [fifo, host.image], user: "app" })).toMatchObject({ stage: "user", code: "EINVAL" });
    const linked = join(host.directory, "linked-layer");
    mkdirSync(join(linked, "etc"), { recursive: true });
    writeFileSync(join(host.directory, "outside-passwd"), "app:x:1:1::/:/bin/sh\n");
    symlinkSync(join(host.directory, "outside-passwd"), join(linked, "etc/passwd"));
    expect(await refusal({ layers: [linked, host.image], user: "app" })).toMatchObject({
      stage: "user",
      code: "ENOENT",
    });
  });

  test("the program's process has its ids alone, and init stays out of its reach", async () => {
    const container = await host.start(["sleep", "1000"], { layers, user: "app", idBase: 5_000_000 });
    try {
      const pid = container.pid ?? 0;
      expect(statusField(pid, "Uid")).toBe("5001000\t5001000\t5001000\t5001000");
      expect(statusField(pid, "Gid")).toBe("5001001\t5001001\t5001001\t5001001");
      expect(statusField(pid, "Groups").trim()).toBe("5000029 5000044");
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"])
        expect(statusField(pid, set), set).toBe("0000000000000000");
      const init = Number(statusField(pid, "PPid"));
      expect(statusField(init, "CapPrm")).toBe("0000000000000020");
      /* Not dumpable: its files in /proc belong to the host's root. */
      expect(execFileSync("stat", ["-c", "%u", `/proc/${init}/environ`], { encoding: "utf8" }).trim()).toBe("0");
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });
});

describe("capabilities", () => {
  const sets = async (more: Partial<ContainerSpec>, runtime = host.runtime) => {
    const result = await runtime.start(host.spec(["sleep", "1000"], { layers, ...more }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    const pid = result.value.pid ?? 0;
    const read = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((set) =>
      BigInt(`0x${statusField(pid, set)}`).toString(16),
    );
    expect(statusField(pid, "NoNewPrivs")).toBe("1");
    await result.value.stop({ signal: 9, graceMs: 0 });
    await result.value.remove();
    return read;
  };

  test("none at all", async () => {
    expect(await sets({ capabilities: { drop: ["all"] } })).toEqual(["0", "0", "0", "0", "0"]);
  });
  test("taken away and added", async () => {
    /* The default 0x800405fb without chown (bit 0), with net_raw (bit 13). */
    expect(await sets({ capabilities: { drop: ["chown"], add: ["net_raw"] } })).toEqual([
      "0",
      "800425fa",
      "800425fa",
      "800425fa",
      "0",
    ]);
  });
  test("ambient ones reach a program that is not root, and only those", async () => {
    expect(await sets({ user: "app", capabilities: { ambient: ["net_bind_service"] } })).toEqual([
      "400",
      "400",
      "400",
      "800405fb",
      "400",
    ]);
  });
  test("inheritable ones are not ambient", async () => {
    expect(await sets({ capabilities: { drop: ["all"], add: ["kill"], inheritable: ["kill"] } })).toEqual([
      "20",
      "20",
      "20",
      "20",
      "0",
    ]);
  });
  test("the dangerous ones need the host's policy", async () => {
    const runtime = await openRuntime({
      stateDir: join(host.directory, "allowing"),
      cgroupParent: host.cgroupParent,
      allow: { capabilities: ["net_admin"] },
    });
    try {
      expect(await sets({ capabilities: { drop: ["all"], add: ["net_admin"] } }, runtime)).toEqual([
        "0",
        "1000",
        "1000",
        "1000",
        "0",
      ]);
      expect(await runtime.start(host.spec(["true"], { capabilities: { add: ["sys_admin"] } }))).toMatchObject({
        ok: false,
        error: { stage: "spec", detail: "capabilities.add: sys_admin is not allowed by this host's policy" },
      });
    } finally {
      await runtime.close();
    }
  });
});

/** Bit 24: without it not even root may raise a hard limit or protect a process from the OOM killer. */
const mayRaise = ((BigInt(`0x${statusField(process.pid, "CapEff")}`) >> 24n) & 1n) === 1n;

describe("limits", () => {
  test("above those of the agent, where it may give them", async () => {
    expect(readFileSync("/proc/self/limits", "utf8")).toMatch(/^Max realtime priority +0 +0/m);
    const result = await host.runtime.start(
      host.spec(["sh", "-c", "ulimit -r"], { rlimits: { rtprio: { soft: 5, hard: 50 } } }),
    );
    if (mayRaise) {
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      await result.value.exited;
      expect(await outputOf(result.value)).toBe("5\n");
      await result.value.remove();
    } else expect(result).toMatchObject({ ok: false, error: { stage: "process.rlimit", code: "EPERM" } });
  });

  test("soft and hard", async () => {
    const container = await host.start(["sleep", "1000"], {
      rlimits: {
        nofile: { soft: 77, hard: 99 },
        core: { soft: 0, hard: "unlimited" },
        memlock: { soft: 4096, hard: 8192 },
        nproc: { soft: 50, hard: 60 },
      },
    });
    try {
      const limits = readFileSync(`/proc/${container.pid ?? 0}/limits`, "utf8");
      expect(limits).toMatch(/^Max open files +77 +99 /m);
      expect(limits).toMatch(/^Max core file size +0 +unlimited /m);
      expect(limits).toMatch(/^Max locked memory +4096 +8192 /m);
      expect(limits).toMatch(/^Max processes +50 +60 /m);
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });

  test("more files than the kernel allows are refused by the kernel's word", async () => {
    expect(await refusal({ rlimits: { nofile: { soft: 1, hard: "unlimited" } } })).toMatchObject({
      stage: "process.rlimit",
      code: "EPERM",
    });
    expect(await host.runtime.adopt()).toEqual([]);
  });

  test("umask and OOM score", async () => {
    const { stdout } = await host.sh("umask; cat /proc/self/oom_score_adj", { umask: 0o077, oomScoreAdj: 321 });
    expect(stdout).toBe("0077\n321\n");
    const spec = host.spec(
      ["sh", "-c", "cat /proc/self/oom_score_adj; (echo -900 > /proc/self/oom_score_adj) || echo refused"],
      {
        oomScoreAdj: -500,
      },
    );
    const lower = await host.runtime.start(spec);
    if (mayRaise) {
      if (!lower.ok) throw new Error(JSON.stringify(lower.error));
      await lower.value.exited;
      expect(await outputOf(lower.value)).toBe("-500\nrefused\n");
      await lower.value.remove();
    } else expect(lower).toMatchObject({ ok: false, error: { stage: "process.oom", code: "EACCES" } });
  });
});

describe("the stop signal", () => {
  test("is what stop sends when it is not told", async () => {
    const container = await host.start(
      ["sh", "-c", "trap 'echo usr1; exit 3' USR1; touch /tmp/ready; echo ready; while :; do sleep 0.02; done"],
      {
        stopSignal: 10,
      },
    );
    while (!(await outputOf(container)).includes("ready")) await new Promise((done) => setTimeout(done, 5));
    const exit = await container.stop({ graceMs: 20_000 });
    expect(exit).toMatchObject({ code: 3, cause: "exited" });
    await container.remove();
  });
});

describe("names and clocks", () => {
  test("an NIS domain name", async () => {
    const { stdout } = await host.sh("cat /proc/sys/kernel/domainname; hostname", { domainname: "nis.example" });
    expect(stdout).toBe("nis.example\nbox\n");
  });

  test("a clock of its own, for the program and for what it starts", async () => {
    const clock = join(host.directory, "clock-layer");
    mkdirSync(join(clock, "bin"), { recursive: true });
    compileC(
      `#include <stdio.h>
#include <time.h>
int main(void) { struct timespec m, b; clock_gettime(CLOCK_MONOTONIC, &m); clock_gettime(CLOCK_BOOTTIME, &b); printf("%ld %ld\\n", (long)m.tv_sec, (long)b.tv_sec); return 0; }`,
      join(clock, "bin/clock"),
    );
    const read = async (more: Partial<ContainerSpec>) => {
      const { stdout } = await host.sh("clock; sh -c clock", { layers: [clock, host.image], ...more });
      return stdout
        .trim()
        .split("\n")
        .map((line) => line.split(" ").map(Number));
    };
    const [own] = await read({});
    const moved = await read({
      namespaces: { time: { monotonicOffsetMs: 86_400_000, boottimeOffsetMs: 7 * 86_400_000 - 1 } },
    });
    for (const clocks of moved) {
      const days = clocks.map((seconds, i) => Math.floor((seconds - (own?.[i] ?? 0) + 60) / 86_400));
      expect(days).toEqual([1, 7]);
    }
  });

  test("an offset that the kernel refuses says so", async () => {
    expect(await refusal({ namespaces: { time: { monotonicOffsetMs: -1e12 } } })).toMatchObject({
      stage: "namespaces.time",
      code: "ERANGE",
    });
  });
});
