/**
 * A kernel that lacks a feature: an agent for which one system call after the other does not exist. It says what is
 * missing, and where, and leaves nothing; what it can do without it does without.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { agentScript } from "./built-agent.ts";
import type { CgroupLayout, ContainerSpec } from "../lib/index.ts";
import { compileC, layout, testHost, v1Layout } from "./host.ts";

const host = testHost();
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const without = join(host.directory, "without");

/** On a file system whose ids can be mapped. */
const data = join(host.directory, "data");

beforeAll(() => {
  mkdirSync(data);
  compileC(readFileSync(here("./programs/without.c"), "utf8"), without);
  agentScript();
});

interface Said {
  readonly exit?: { readonly code: number };
  readonly error?: { readonly stage: string; readonly code: string; readonly detail: string };
  readonly left: readonly string[];
}
interface More {
  readonly exec?: readonly string[];
  readonly cgroupLayout?: CgroupLayout;
  readonly namespaces?: ContainerSpec["namespaces"];
}
/** In a state directory of its own, so that several can be tried at the same time. */
const started = async (call: number, { exec, cgroupLayout, namespaces = {} }: More = {}): Promise<Said> => {
  const mounts = [{ source: data, target: "/data", readOnly: true }];
  const spec = host.spec(exec === undefined ? ["true"] : ["sleep", "1000"], { mounts, namespaces });
  const stateDir = join(host.directory, `without-${call}`);
  const job = { stateDir, cgroupParent: host.cgroupParent, cgroupLayout, spec, exec };
  const words = [`${call}`, process.execPath, here("./one-start.mjs"), JSON.stringify(job)];
  const { stdout } = await promisify(execFile)(without, words);
  const [said] = JSON.parse(stdout) as readonly Said[];
  if (said === undefined) throw new Error("nothing was said");
  const state = existsSync(stateDir) ? readdirSync(stateDir).filter((name) => !name.startsWith(".")) : [];
  return { ...said, left: [...said.left, ...state, ...host.cgroupsOf(spec.id)] };
};

/** A kernel before 6.15 wants the layers of an overlay attached: then that is the first that needs a mount namespace. */
const [major = 0, minor = 0] = release().split(".").map(Number);
const attaches = major < 6 || (major === 6 && minor < 15);
const ROOT = attaches ? "rootfs.overlay" : "mount.root";

/** Numbers of x86-64; from 424 on they are the same everywhere. */
describe.runIf(process.arch === "x64")("a kernel without", () => {
  test.concurrent.each([
    ["socketpair", 53, "supervisor.start"],
    ["flock", 73, "state.lock"],
    ["capset", 126, "privileges"],
    ["pivot_root", 155, "mount.root"],
    ["mount", 165, ROOT],
    ["unshare", 272, "namespaces"],
    ["seccomp", 317, "seccomp"],
    ["memfd_create", 319, "supervisor.image"],
    ["execveat", 322, "supervisor.start"],
    ["open_tree", 428, "rootfs.layer"],
    ["move_mount", 429, ROOT],
    ["fsopen", 430, "rootfs.overlay"],
    ["fsconfig", 431, "rootfs.overlay"],
    ["fsmount", 432, "rootfs.overlay"],
    ["clone3", 435, "namespaces"],
    ["close_range", 436, "init"],
    ["openat2", 437, "rootfs.layer"],
    ["mount_setattr", 442, "rootfs.layer"],
  ] as const)("%s: the start says so, and nothing is left", async (_name, call, stage) => {
    const { error, left } = await started(call);
    expect(error).toMatchObject({ stage, code: "ENOSYS", detail: expect.stringMatching(/./) });
    expect(left).toEqual([]);
  });

  /* Without inotify: so no limit of it is one of ours. */
  test.concurrent.each([
    ["keyrings", 250],
    ["inotify_init1", 294],
    /* musl asks for the older signalfd(2) then. */
    ["signalfd4", 289],
    ["pidfd_send_signal", 424],
  ] as const)("%s: does without", async (_name, call) => {
    expect(await started(call)).toMatchObject({ exit: { code: 0 }, left: [] });
  });

  const what = attaches ? "the start says so" : "starts containers, and says that it cannot execute in them";
  test.concurrent(`setns: ${what}`, async () => {
    expect(await started(308, { exec: ["true"] })).toMatchObject({
      error: { stage: attaches ? ROOT : "exec.namespaces", code: "ENOSYS" },
      exit: { code: 125, cause: "start_failed" },
      left: [],
    });
  });

  /* Who joins is born by another process than the supervisor. Without a v2 hierarchy no cgroup can be killed as a whole. */
  test.skipIf(layout.kind === "v2")(
    "pidfd_open: the start says so, and the init that was born for it has ended",
    async () => {
      const job = { cgroupLayout: v1Layout, namespaces: { ipc: { path: "/proc/self/ns/ipc" } } };
      expect(await started(434, { ...job, exec: ["true"] })).toMatchObject({
        error: { stage: "init", code: "ENOSYS", detail: "pidfd_open" },
        exit: { code: 125, cause: "start_failed" },
        left: [],
      });
    },
  );
});
