/**
 * What the tests of the runtime share: a state directory, a cgroup parent of their own, specs with sensible defaults,
 * and the certainty that all of it is gone afterwards.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import {
  ensureBusyboxRootfs,
  openLog,
  openRuntime,
  readCgroupLayout,
  type Container,
  type ContainerSpec,
  type ExitRecord,
  type LogStream,
  type Runtime,
} from "../lib/index.ts";
import { mountPoints, plainSpec } from "./scratch.ts";

/** Then a supervisor needs the libraries of the host, and keeps shadow memory. */
export const sanitized = process.env["BERTH_NATIVE_BUILD"] !== undefined;
/** Emulated, or with sanitizers: what a test repeats hundreds of times it repeats less often there. */
export const slow = sanitized || process.env["BERTH_VM"] !== undefined;

export const layout = readCgroupLayout();
/** As on a host without any v2 hierarchy. */
export const v1Layout = readCgroupLayout((path) => {
  const text = readFileSync(path, "utf8");
  return path === "/proc/self/mountinfo" ? text.replace(/^.* - cgroup2 .*$/gm, "") : text;
});

export interface TestHost {
  readonly directory: string;
  readonly stateDir: string;
  readonly cgroupParent: string;
  readonly image: string;
  runtime: Runtime;
  /** A spec that runs `command` in busybox; every one gets an id and a range of ids of its own. */
  spec(command: readonly string[], more?: Partial<ContainerSpec>): ContainerSpec;
  start(command: readonly string[], more?: Partial<ContainerSpec>): Promise<Container>;
  /** Starts, waits, reads both outputs, removes. */
  run(
    command: readonly string[],
    more?: Partial<ContainerSpec>,
  ): Promise<{ readonly exit: ExitRecord; readonly stdout: string; readonly stderr: string }>;
  sh(script: string, more?: Partial<ContainerSpec>): ReturnType<TestHost["run"]>;
  /** Every cgroup directory of this host's parent that has this name. */
  cgroupsOf(id: string): string[];
}

let serial = 0;

/** To be called at the top of a test file. */
export const testHost = (): TestHost => {
  const directory = mkdtempSync(join(tmpdir(), "berth-native-"));
  const cgroupParent = `berth-test-${process.pid}-${(serial += 1)}`;
  let count = 0;
  const host: TestHost = {
    directory,
    stateDir: join(directory, "state"),
    cgroupParent,
    image: join(directory, "busybox"),
    runtime: undefined as unknown as Runtime,
    spec: (command, more = {}) => {
      count += 1;
      return { ...plainSpec(count, host.image, command), ...more };
    },
    start: async (command, more) => {
      const result = await host.runtime.start(host.spec(command, more));
      if (!result.ok) throw new Error(`not started: ${JSON.stringify(result.error)}`);
      return result.value;
    },
    run: async (command, more) => {
      const container = await host.start(command, more);
      const exit = await container.exited;
      const stdout = await outputOf(container);
      const stderr = await outputOf(container, "stderr");
      await container.remove();
      return { exit, stdout, stderr };
    },
    sh: (script, more) => host.run(["sh", "-c", script], more),
    cgroupsOf: (id) =>
      mountPoints(layout)
        .map((path) => join(path, cgroupParent, id))
        .filter((path) => existsSync(path)),
  };
  beforeAll(async () => {
    await ensureBusyboxRootfs(host.image);
    host.runtime = await openRuntime({ stateDir: host.stateDir, cgroupParent });
  });
  afterAll(async () => {
    await host.runtime.close();
    sweep(host);
  });
  return host;
};

/** Kills and removes whatever a failed test left. */
const sweep = (host: TestHost): void => {
  for (const mountPoint of new Set([...mountPoints(layout), ...mountPoints(v1Layout)])) {
    const parent = join(mountPoint, host.cgroupParent);
    if (!existsSync(parent)) continue;
    for (const entry of readdirSync(parent, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const path = join(parent, entry.name);
      for (let i = 0; i < 100; i += 1) {
        const members = membersOf(path);
        if (members.length === 0) break;
        for (const pid of members) spawnSync("kill", ["-9", pid]);
        spawnSync("sleep", ["0.02"]);
      }
      spawnSync("rmdir", [path]);
    }
    spawnSync("rmdir", [parent]);
  }
  /* Not rmSync: a container may leave paths longer than PATH_MAX. */
  spawnSync("rm", ["-rf", host.directory]);
};

/** All that is kept of one stream. */
export const outputOf = async (
  container: { readonly logPath: string },
  stream: LogStream = "stdout",
): Promise<string> => (await openLog(container.logPath).read(stream, 0, 256 * 1024 * 1024)).data.toString();

/** It may be about to go by itself. */
const membersOf = (path: string): string[] => {
  try {
    return readFileSync(join(path, "cgroup.procs"), "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
};

export const processExists = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** A zombie that PID 1 has not reaped yet holds nothing any more. */
export const isAlive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0] !== "Z";
  } catch {
    return false;
  }
};

/** The supervisor above the init above the program `pid`. */
export const supervisorOf = (pid: number): number => Number(statusField(Number(statusField(pid, "PPid")), "PPid"));

/** Asks until it is true; the test's own timeout is the bound. */
export const eventually = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
};

export const statusField = (pid: number, field: string): string =>
  new RegExp(`^${field}:[ \\t]*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";

/** Host processes whose command line holds `text`. */
export const processesWith = (text: string): number[] =>
  readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(text) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });

const compiled = fileURLToPath(new URL("../build/test-programs/", import.meta.url));
const COMPILE = ["-O1", "-static", "-D_GNU_SOURCE"];

/** Compiles a small static C program for use inside containers, or takes what was compiled of this very text before. */
export const compileC = (source: string, target: string): void => {
  const kept = join(compiled, createHash("sha256").update(COMPILE.join(" ")).update(source).digest("hex"));
  if (!existsSync(kept)) {
    execFileSync("gcc", [...COMPILE, "-x", "c", "-o", target, "-"], { input: source });
    try {
      mkdirSync(compiled, { recursive: true });
      copyFileSync(target, `${kept}.${process.pid}`);
      renameSync(`${kept}.${process.pid}`, kept);
    } catch (cause) {
      /* In the virtual machine the checkout is read-only; a directory that cannot be made there is then said to be missing. */
      if (!(cause instanceof Error && "code" in cause && ["EROFS", "ENOENT"].includes(String(cause.code)))) throw cause;
    }
    return;
  }
  copyFileSync(kept, target);
};

/** C source of a program that becomes another user and executes its arguments. */
export const asNobody = `#include <unistd.h>
int main(int n, char **v) {
  return n < 2 || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) || execv(v[1], v + 1);
}`;
