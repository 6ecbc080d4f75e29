/**
 * A kernel that lacks a feature: an agent for which one system call after the other does not exist. It says what is
 * missing, and where, and leaves nothing; what it can do without it does without.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { agentScript } from "./built-agent.ts";
import { compileC, testHost } from "./host.ts";

const host = testHost();
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const without = join(host.directory, "without");
const stateDir = join(host.directory, "old-kernel");

beforeAll(() => {
  compileC(readFileSync(here("./programs/without.c"), "utf8"), without);
  agentScript();
});

interface Said {
  readonly exit?: { readonly code: number };
  readonly error?: { readonly stage: string; readonly code: string; readonly detail: string };
  readonly left: readonly string[];
}
const started = (call: number): Said => {
  const mounts = [{ source: "/usr/share", target: "/data", readOnly: true }];
  const spec = host.spec(["true"], { mounts });
  const job = { stateDir, cgroupParent: host.cgroupParent, spec };
  const output = execFileSync(without, [`${call}`, process.execPath, here("./one-start.mjs"), JSON.stringify(job)], {
    encoding: "utf8",
  });
  const [said] = JSON.parse(output) as readonly Said[];
  if (said === undefined) throw new Error("nothing was said");
  return { ...said, left: [...said.left, ...host.cgroupsOf(spec.id)] };
};

/** Numbers of x86-64; from 424 on they are the same everywhere. */
describe.runIf(process.arch === "x64")("a kernel without", () => {
  test.each([
    ["socketpair", 53, "supervisor.start"],
    ["flock", 73, "state.lock"],
    ["capset", 126, "privileges"],
    ["pivot_root", 155, "mount.root"],
    ["mount", 165, "mount.root"],
    ["unshare", 272, "namespaces"],
    ["signalfd4", 289, "init"],
    ["seccomp", 317, "seccomp"],
    ["memfd_create", 319, "supervisor.image"],
    ["execveat", 322, "supervisor.start"],
    ["open_tree", 428, "rootfs.layer"],
    ["move_mount", 429, "mount.root"],
    ["fsopen", 430, "rootfs.overlay"],
    ["fsconfig", 431, "rootfs.overlay"],
    ["fsmount", 432, "rootfs.overlay"],
    ["clone3", 435, "namespaces"],
    ["close_range", 436, "init"],
    ["openat2", 437, "rootfs.layer"],
    ["mount_setattr", 442, "rootfs.layer"],
  ] as const)("%s: the start says so, and nothing is left", (_name, call, stage) => {
    const { error, left } = started(call);
    expect(error).toMatchObject({ stage, code: "ENOSYS", detail: expect.stringMatching(/./) });
    expect(left).toEqual([]);
    const state = existsSync(stateDir) ? readdirSync(stateDir) : [];
    expect(state.filter((name) => !name.startsWith("."))).toEqual([]);
  });

  test.each([
    ["keyrings", 250],
    ["pidfd_send_signal", 424],
  ] as const)("%s: does without", (_name, call) => {
    expect(started(call)).toMatchObject({ exit: { code: 0 }, left: [] });
  });
});
