// What Berth needs of the machine, and how Debian calls it. Installs only what is missing, and leaves no service running.
import { spawnSync } from "node:child_process";
import { accessSync, chmodSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { SetupFailure } from "./steps.mjs";

/** Each with what proves that it is there, however it was installed. */
const NEEDED = [
  { name: "nats-server", programs: ["nats-server"] },
  { name: "nftables", programs: ["nft"] },
  { name: "iproute2", programs: ["ip"] },
  { name: "util-linux", programs: ["flock", "nsenter", "setpriv"] },
  { name: "e2fsprogs", programs: ["chattr"] },
  { name: "busybox-static", files: ["/bin/busybox"] },
  { name: "libseccomp-dev", files: ["/usr/include/seccomp.h"] },
  { name: "libarchive-dev", files: ["/usr/include/archive.h"] },
  { name: "libssl-dev", files: ["/usr/include/openssl/evp.h"] },
  { name: "pkg-config", programs: ["pkg-config"] },
  { name: "build-essential", programs: ["gcc", "g++", "make"] },
  { name: "musl-tools", programs: ["musl-gcc"] },
  { name: "python3", programs: ["python3"] },
];
const NEEDED_BY_TESTS = [
  { name: "chromium", programs: ["chromium"] },
  { name: "docker-registry", programs: ["docker-registry"] },
  { name: "skopeo", programs: ["skopeo"] },
  { name: "umoci", programs: ["umoci"] },
  { name: "buildah", programs: ["buildah"] },
  { name: "mmdebstrap", programs: ["mmdebstrap"] },
  { name: "squashfs-tools-ng", programs: ["sqfs2tar", "tar2sqfs"] },
  { name: "zstd", programs: ["zstd"] },
  { name: "xz-utils", programs: ["xz"] },
  { name: "openssl", programs: ["openssl"] },
  { name: "clang-14", programs: ["clang-14"] },
  { name: "libclang-rt-14-dev", files: ["/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a"] },
  { name: "llvm-14", programs: ["llvm-symbolizer-14"] },
  { name: "clang-tidy-14", programs: ["clang-tidy-14"] },
  { name: "cppcheck", programs: ["cppcheck"] },
  { name: "valgrind", programs: ["valgrind"] },
  { name: "libfaketime", files: ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"] },
  { name: "qemu-system-x86", programs: ["qemu-system-x86_64"] },
];

const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
const hasProgram = (name) =>
  directories.some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return directory !== "";
    } catch {
      return false;
    }
  });

/** Names of Debian packages that are missing. */
export const missingPackages = (tests) => {
  const all = tests ? [...NEEDED, ...NEEDED_BY_TESTS] : NEEDED;
  const found = all.filter(
    ({ name, programs = [], files = [] }) => programs.every(hasProgram) && files.every(existsSync) && isRightKind(name),
  );
  return all.filter((one) => !found.includes(one)).map((one) => one.name);
};

/** Debian has two packages with a busybox; the image needs the one without libraries. */
const isRightKind = (name) => {
  if (name !== "busybox-static") return true;
  const { status, stdout } = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Status}", name], { encoding: "utf8" });
  // Without dpkg nobody can tell; the agent checks the program itself.
  return status === null || stdout === "installed";
};

const osName = () => {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "this system";
  } catch {
    return "this system";
  }
};

/** Installs packages without questions. Needs root and apt-get; says what to do where there is neither. */
export const installPackages = async (names, run) => {
  const command = `apt-get install ${names.join(" ")}`;
  if (!hasProgram("apt-get")) {
    throw new SetupFailure(`${osName()} has no apt-get, and these are missing: ${names.join(", ")}`, {
      todo: ["install what these Debian packages hold, then start again"],
    });
  }
  if (process.geteuid?.() !== 0) {
    throw new SetupFailure(`missing: ${names.join(", ")}; installing needs root`, { todo: [`sudo ${command}`] });
  }
  const env = { DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_MODE: "l" };
  const install = ["-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install", ...names];
  await withoutServices(names, async () => {
    try {
      await run("apt-get", install, { env });
    } catch {
      // Lists that are missing or old are the usual reason, and the only one that can be helped here.
      const todo = [`apt-get update && ${command}`, "check that this machine reaches its Debian mirror"];
      await run("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300", "update"], { env, todo });
      await run("apt-get", install, { env, todo });
    }
  });
};

const POLICY = "/usr/sbin/policy-rc.d";

/**
 * Debian starts a packaged nats-server on port 4222; Berth runs its own. While packages are installed no service may
 * start (invoke-rc.d(8), policy-rc.d), and the unit of a server that we brought is switched off.
 */
const withoutServices = async (names, work) => {
  const ours = !existsSync(POLICY);
  if (ours) {
    writeFileSync(
      POLICY,
      "#!/bin/sh\n# Berth's set-up is installing packages: no service may start meanwhile.\nexit 101\n",
    );
    chmodSync(POLICY, 0o755);
  }
  try {
    await work();
  } finally {
    if (ours) rmSync(POLICY, { force: true });
  }
  if (names.includes("nats-server") && existsSync("/run/systemd/system")) {
    spawnSync("systemctl", ["disable", "--now", "nats-server.service"], { stdio: "ignore" });
  }
};
