/** How a container ends, and that the reason is exact: its own code, a signal, or why it never ran. */
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { testHost } from "./host.ts";

const host = testHost();

describe("a program's own end", () => {
  test.each([0, 1, 3, 42, 126, 127, 255])("exit code %i is kept", async (code) => {
    const { exit } = await host.sh(`exit ${code}`);
    expect(exit).toMatchObject({ code, signal: null, oom: false, cause: "exited", error: null });
    expect(exit.startedAtMs).not.toBeNull();
    expect(exit.finishedAtMs).toBeGreaterThanOrEqual(exit.startedAtMs ?? 0);
  });

  test.each([
    [9, "KILL"],
    [15, "TERM"],
    [6, "ABRT"],
    [11, "SEGV"],
    [1, "HUP"],
  ])("death by signal %i is told from an exit", async (signal, name) => {
    const { exit } = await host.sh(`kill -${name} $$`);
    expect(exit).toMatchObject({ code: 128 + signal, signal, cause: "signalled", oom: false });
  });

  test("the end of the program ends what it left behind", async () => {
    const { exit } = await host.sh("sleep 1000 & sleep 1000 & exit 5");
    expect(exit).toMatchObject({ code: 5, cause: "exited" });
  });
});

describe("a program that cannot be run", () => {
  const startFails = async (command: readonly string[], more = {}) => {
    const spec = host.spec(command, more);
    const result = await host.runtime.start(spec);
    expect(result.ok).toBe(false);
    expect(existsSync(join(host.stateDir, spec.id)), "state directory is gone").toBe(false);
    expect(host.cgroupsOf(spec.id), "cgroups are gone").toEqual([]);
    return result.ok ? undefined : result;
  };

  test("missing: 127", async () => {
    const result = await startFails(["no-such-program"]);
    expect(result?.error).toEqual({ stage: "exec", errno: 2, code: "ENOENT", detail: "no-such-program" });
    expect(result?.exit).toMatchObject({ code: 127, cause: "start_failed", startedAtMs: null });
  });

  test("missing by path: 127", async () => {
    const result = await startFails(["/bin/no-such-program", "x"]);
    expect(result?.exit).toMatchObject({ code: 127, error: { stage: "exec", code: "ENOENT" } });
  });

  test("not executable: 126", async () => {
    const result = await startFails(["/etc/passwd"]);
    expect(result?.exit).toMatchObject({ code: 126, error: { stage: "exec", code: "EACCES" } });
  });

  test("no program format: 126", async () => {
    const layer = join(host.directory, "text-layer");
    mkdirSync(join(layer, "bin"), { recursive: true });
    writeFileSync(join(layer, "bin/text"), "this is no program\n");
    chmodSync(join(layer, "bin/text"), 0o755);
    const result = await startFails(["text"], { layers: [layer, host.image] });
    expect(result?.exit).toMatchObject({ code: 126, error: { stage: "exec", code: "ENOEXEC" } });
  });

  test("a layer that does not exist: 125, and it is named", async () => {
    const result = await startFails(["true"], { layers: ["/nonexistent/layer"] });
    expect(result?.error).toEqual({ stage: "rootfs.layer", errno: 2, code: "ENOENT", detail: "/nonexistent/layer" });
    expect(result?.exit.code).toBe(125);
  });

  test("a layer that is a symbolic link is refused", async () => {
    const link = join(host.directory, "link-layer");
    symlinkSync(host.image, link);
    const result = await startFails(["true"], { layers: [link] });
    expect(result?.error.stage).toMatch(/^rootfs\./);
  });

  test("a mount source that does not exist: 125, and it is named", async () => {
    const result = await startFails(["true"], {
      mounts: [{ source: "/nonexistent/source", target: "/mnt", readOnly: true }],
    });
    expect(result?.error).toMatchObject({ stage: "mount.bind", code: "ENOENT", detail: "/nonexistent/source" });
  });

  test("a memory limit too small for anything: 125 and oom", async () => {
    const result = await startFails(["true"], {
      limits: { cpuRequestMillis: 1, cpuLimitMillis: null, memoryBytes: 65_536, pids: 8 },
    });
    expect(result?.exit).toMatchObject({ code: 125, cause: "start_failed" });
  });
});

describe("what the program is given", () => {
  test("arguments and environment arrive byte for byte, and nothing else", async () => {
    const words = ["", "a b", "ünï€", "-n", "$HOME", "line\nbreak", "'\""];
    const args = await host.run(["cat", "/proc/self/cmdline", "/proc/self/environ"]);
    expect(args.stdout).toBe("cat\0/proc/self/cmdline\0/proc/self/environ\0HOME=/root\0");
    const echoed = await host.run(["sh", "-c", 'for a; do printf "%s\\0" "$a"; done', "sh", ...words]);
    expect(echoed.stdout.split("\0").slice(0, -1)).toEqual(words);
    const env = await host.run(["env", "-0"], { env: { B: "two=2", A: "ünï\n" } });
    expect(env.stdout).toBe("B=two=2\0A=ünï\n\0HOME=/root\0");
  });

  test("the program is searched in PATH of its own environment", async () => {
    const layer = join(host.directory, "path-layer");
    mkdirSync(join(layer, "opt/tools"), { recursive: true });
    writeFileSync(join(layer, "opt/tools/greet"), "#!/bin/sh\necho found\n");
    chmodSync(join(layer, "opt/tools/greet"), 0o755);
    const { stdout } = await host.run(["greet"], {
      layers: [layer, host.image],
      env: { PATH: "/nowhere:/opt/tools:/bin" },
    });
    expect(stdout).toBe("found\n");
  });

  test("the working directory is made when it is missing", async () => {
    const { stdout } = await host.run(["pwd"], { workdir: "/made/deep/er" });
    expect(stdout).toBe("/made/deep/er\n");
  });

  test("a working directory behind a symbolic link stays inside", async () => {
    const layer = join(host.directory, "cwd-layer");
    mkdirSync(layer, { recursive: true });
    symlinkSync("/../../../etc", join(layer, "away"));
    const { stdout } = await host.run(["sh", "-c", "pwd -P; cat passwd | head -1"], {
      layers: [layer, host.image],
      workdir: "/away",
    });
    expect(stdout).toBe("/etc\nroot:x:0:0:root:/root:/bin/sh\n");
  });

  test.each(Array.from({ length: 16 }, (_, i) => `/proc/self/fd/${i}`))(
    "no working directory leads out by %s",
    async (workdir) => {
      const result = await host.runtime.start(host.spec(["true"], { workdir }));
      expect(result.ok).toBe(false);
      if (!result.ok) expect(result.error.stage).toBe("workdir");
    },
  );

  test("signals have their default meaning", async () => {
    /* Not through a shell: busybox's ignores SIGQUIT, and what is ignored stays so. */
    const { stdout } = await host.run(["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
    expect(stdout.replace(/\s+/g, " ").trim()).toBe(
      "SigBlk: 0000000000000000 SigIgn: 0000000000000000 SigCgt: 0000000000000000",
    );
  });
});
