/**
 * Builds what is not TypeScript: the system call filter (generated once, by libseccomp), the static supervisor, the
 * addon. Each step runs only when one of its inputs changed; a build with nothing to do takes a few milliseconds.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { compileEach, fail, root, run, sources, step, supervisorCompiler, WARNINGS } from "./build-step.mjs";
import { nodePrefix } from "./node-headers.mjs";

const out = join(root, "build", "native");
const require = createRequire(import.meta.url);
const compile = [
  "-D_GNU_SOURCE",
  "-O2",
  "-fstack-protector-strong",
  "-U_FORTIFY_SOURCE",
  "-D_FORTIFY_SOURCE=2",
  ...WARNINGS,
];

const nodeDir = () => {
  const prefix = nodePrefix();
  return prefix === undefined ? [] : [`--nodedir=${prefix}`];
};

/** Where musl-gcc, which knows musl's headers alone, finds the kernel's, without glibc's that lie beside them. */
const kernelHeaders = () => {
  if (supervisorCompiler === "gcc") return [];
  const folder = join(out, "kernel-headers");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const machine = join("/usr/include", run("gcc", ["-print-multiarch"]).trim(), "asm");
  for (const headers of ["/usr/include/linux", "/usr/include/asm-generic", machine])
    symlinkSync(headers, join(folder, basename(headers)));
  return ["-isystem", folder];
};

mkdirSync(out, { recursive: true });

const filter = join(out, "seccomp_filter.h");
await step("filter", filter, ["src/seccomp/generate.c"], () => {
  if (!existsSync("/usr/include/seccomp.h")) fail("libseccomp is missing (Debian: apt-get install libseccomp-dev)");
  const generator = join(out, "generate");
  run("gcc", [
    "-std=gnu17",
    ...compile,
    "-o",
    generator,
    "src/seccomp/generate.c",
    "-Wl,-Bstatic",
    "-lseccomp",
    "-Wl,-Bdynamic",
  ]);
  const text = run(generator, []);
  writeFileSync(filter, text);
});

/** Names and numbers of system calls here, for profiles of users; the kernel's own headers say them. */
const calls = join(out, "syscalls.json");
await step("syscalls", calls, [], () => {
  const text = run("gcc", ["-E", "-dM", "-x", "c", "-include", "sys/syscall.h", "/dev/null"]);
  const found = [...text.matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map(([, name, number]) => [name, Number(number)]);
  if (found.length < 200) fail(`only ${found.length} system calls are known to the headers`);
  writeFileSync(calls, JSON.stringify(Object.fromEntries(found.sort((a, b) => a[1] - b[1]))));
});

const supervisor = join(out, "berth-supervisor");
const supervisorSources = [
  "birth.c",
  "cgroup.c",
  "cgroup_ahead.c",
  "cgroup_count.c",
  "check.c",
  "control.c",
  "crc.c",
  "detach.c",
  "device.c",
  "end.c",
  "err.c",
  "exec.c",
  "exec_cgroup.c",
  "exec_child.c",
  "exec_launch.c",
  "fd.c",
  "fs.c",
  "handover.c",
  "hook.c",
  "init.c",
  "input.c",
  "join.c",
  "lease.c",
  "log.c",
  "loop.c",
  "main.c",
  "mask.c",
  "mounts.c",
  "namespaces.c",
  "netlink.c",
  "network.c",
  "old_root.c",
  "output.c",
  "payload.c",
  "prepared.c",
  "privileges.c",
  "process.c",
  "quota.c",
  "record.c",
  "requests.c",
  "rootfs.c",
  "secrets.c",
  "spec.c",
  "spec_check.c",
  "spec_mounts.c",
  "spec_network.c",
  "spec_sections.c",
  "standby.c",
  "sync.c",
  "sysctl.c",
  "terminal.c",
  "text.c",
  "userns.c",
  "users.c",
].map((name) => join("src/supervisor", name));
await step(
  "supervisor",
  supervisor,
  [
    ...supervisorSources,
    ...sources("src/supervisor", [".h"]),
    ...sources("include", [".h"]),
    "build/native/seccomp_filter.h",
  ],
  async () => {
    const args = ["-std=gnu17", ...compile, "-ffunction-sections", `-I${out}`, ...kernelHeaders()];
    const objects = await compileEach(supervisorCompiler, args, supervisorSources, join(out, "supervisor"));
    // The new name appears at once: a running agent may be about to copy the old file.
    run(supervisorCompiler, ["-static", "-Wl,--gc-sections", "-o", `${supervisor}.new`, ...objects]);
    run("strip", [`${supervisor}.new`]);
    renameSync(`${supervisor}.new`, supervisor);
  },
);

const unpack = join(out, "berth-unpack");
const unpackSources = [
  ...["archive.c", "jail.c", "main.c", "names.c", "report.c", "seal.c", "tree.c"].map((name) =>
    join("src/unpack", name),
  ),
  ...["err.c", "fd.c", "quota.c", "text.c"].map((name) => join("src/supervisor", name)),
];
await step(
  "unpack",
  unpack,
  [
    ...unpackSources,
    "src/unpack/unpack.h",
    ...["err.h", "fd.h", "quota.h", "text.h"].map((name) => join("src/supervisor", name)),
    "build/native/seccomp_filter.h",
  ],
  async () => {
    if (!existsSync("/usr/include/archive.h")) fail("libarchive is missing (Debian: apt-get install libarchive-dev)");
    if (!existsSync("/usr/include/openssl/evp.h")) fail("libcrypto is missing (Debian: apt-get install libssl-dev)");
    const args = ["-std=gnu17", ...compile, `-I${out}`];
    const objects = await compileEach("gcc", args, unpackSources, join(out, "unpack"));
    run("gcc", ["-o", `${unpack}.new`, ...objects, "-larchive", "-lcrypto"]);
    run("strip", [`${unpack}.new`]);
    renameSync(`${unpack}.new`, unpack);
  },
);

const pack = join(out, "berth-pack");
const packSources = [
  ...["entries.c", "links.c", "main.c", "view.c"].map((name) => join("src/pack", name)),
  ...["jail.c", "names.c", "report.c"].map((name) => join("src/unpack", name)),
  "src/supervisor/fd.c",
];
await step(
  "pack",
  pack,
  [
    ...packSources,
    ...["src/pack/pack.h", "src/unpack/unpack.h", "src/supervisor/fd.h"],
    "build/native/seccomp_filter.h",
  ],
  async () => {
    const objects = await compileEach("gcc", ["-std=gnu17", ...compile, `-I${out}`], packSources, join(out, "pack"));
    run("gcc", ["-o", `${pack}.new`, ...objects, "-larchive"]);
    run("strip", [`${pack}.new`]);
    renameSync(`${pack}.new`, pack);
  },
);

const addon = join(out, "berth_native.node");
await step(
  "addon",
  addon,
  [...sources("src/addon", [".cc", ".h"]), ...sources("include", [".h"]), "src/addon/binding.gyp"],
  () => {
    const gyp = require.resolve("node-gyp/bin/node-gyp.js");
    const args = [gyp, "configure", "build", "--release", "--jobs=max", ...nodeDir()];
    const folder = join(root, "src", "addon");
    run(process.execPath, args, { cwd: folder, env: { ...process.env, npm_config_loglevel: "warn" } });
    const built = join(folder, "build", "Release", "berth_native.node");
    if (!existsSync(built)) fail(`node-gyp made no ${built}`);
    copyFileSync(built, `${addon}.new`);
    renameSync(`${addon}.new`, addon);
  },
);
