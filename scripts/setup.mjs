/**
 * Makes a checkout ready: Debian packages, npm packages with a frozen lockfile, and the build. Plain Node without
 * dependencies, because nothing is installed yet when it runs. A step whose inputs have not changed is skipped, so that
 * a second run takes a moment and needs no network.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stateFile = join(root, "node_modules", ".berth-setup.json");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** pnpm comes through npx at the version that package.json pins. */
export const pnpm = ["npx", "-y", manifest.packageManager];

/** Debian package → what proves that it is there, so that a set-up machine asks apt nothing. */
const PACKAGES = {
  "nats-server": ["/usr/sbin/nats-server", "/usr/bin/nats-server"],
  nftables: ["/usr/sbin/nft"],
  iproute2: ["/usr/sbin/ip", "/sbin/ip", "/bin/ip"],
  "busybox-static": ["/usr/share/doc/busybox-static"],
  "libseccomp-dev": ["/usr/include/seccomp.h"],
  "pkg-config": ["/usr/bin/pkg-config"],
  gcc: ["/usr/bin/gcc"],
  "g++": ["/usr/bin/g++"],
  make: ["/usr/bin/make"],
  python3: ["/usr/bin/python3"],
  "util-linux": ["/usr/bin/nsenter"],
};
const TEST_PACKAGES = {
  chromium: ["/usr/bin/chromium"],
  "qemu-system-x86": ["/usr/bin/qemu-system-x86_64"],
  "fonts-dejavu-core": ["/usr/share/fonts/truetype/dejavu"],
  e2fsprogs: ["/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4"],
};

/** What each build step reads; its output is up to date while the hash of these is unchanged. */
const STEPS = [
  {
    name: "npm packages",
    inputs: [
      "pnpm-lock.yaml",
      "pnpm-workspace.yaml",
      "package.json",
      "packages/*/package.json",
      "e2e/package.json",
      "bench/package.json",
    ],
    proof: "node_modules/.modules.yaml",
    command: [...pnpm, "install", "--frozen-lockfile", "--reporter=append-only"],
  },
  {
    name: "TypeScript",
    inputs: [
      "tsconfig.json",
      "tsconfig.base.json",
      "pnpm-lock.yaml",
      "packages/*/tsconfig.json",
      "packages/*/src",
      "packages/native/lib",
    ],
    proof: "packages/cli/dist/index.js",
    command: [...pnpm, "build:ts"],
  },
  {
    name: "native addon and supervisor",
    inputs: [
      "pnpm-lock.yaml",
      "packages/native/src",
      "packages/native/include",
      "packages/native/scripts",
      "packages/native/binding.gyp",
    ],
    proof: "packages/native/build",
    command: [...pnpm, "build:native"],
  },
  {
    name: "dashboard",
    inputs: ["pnpm-lock.yaml", "packages/web", "packages/schema/src"],
    proof: "packages/web/dist/index.html",
    command: [...pnpm, "build:web"],
  },
];

export class SetupError extends Error {}

const IGNORED = new Set(["node_modules", "dist", "build", "testing"]);

const hashPath = (hash, path) => {
  const full = join(root, path);
  if (!existsSync(full)) return;
  const stat = lstatSync(full);
  if (stat.isDirectory()) {
    for (const name of readdirSync(full).sort()) if (!IGNORED.has(name)) hashPath(hash, join(path, name));
  } else {
    hash.update(`${path}\0`).update(stat.isSymbolicLink() ? readlinkSync(full) : readFileSync(full));
  }
};

const expand = (pattern) => {
  const star = pattern.indexOf("*");
  if (star < 0) return [pattern];
  const parent = pattern.slice(0, star);
  return readdirSync(join(root, parent))
    .sort()
    .map((name) => parent + name + pattern.slice(star + 1));
};

const hashOf = (inputs) => {
  // A build for another Node or another place is not this build.
  const hash = createHash("sha256").update(`${process.version}\0${root}\0`);
  for (const pattern of inputs) for (const path of expand(pattern)) hashPath(hash, path);
  return hash.digest("hex");
};

const readState = () => {
  try {
    return JSON.parse(readFileSync(stateFile, "utf8"));
  } catch {
    return {};
  }
};

/** Runs a command quietly; its output is shown only when it fails. */
const quietly = (name, command, environment = {}) =>
  new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(command[0], command.slice(1), {
      cwd: root,
      env: { ...process.env, npm_config_loglevel: "error", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (data) => (output = (output + data).slice(-64_000));
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    const tty = process.stderr.isTTY === true;
    const seconds = () => ((performance.now() - started) / 1000).toFixed(0);
    const timer = tty ? setInterval(() => process.stderr.write(`\r  … ${name} ${seconds()} s `), 500) : undefined;
    const end = () => {
      clearInterval(timer);
      if (tty) process.stderr.write("\r\x1b[K");
    };
    child.once("error", (error) => {
      end();
      reject(new SetupError(`${name}: ${command[0]} cannot be started: ${error.message}`));
    });
    child.once("close", (code) => {
      end();
      if (code === 0) {
        process.stderr.write(`  ✓ ${name} (${seconds()} s)\n`);
        resolve();
      } else {
        const tail = output.trimEnd().split("\n").slice(-30).join("\n    ");
        reject(new SetupError(`${name} failed (exit ${code}): ${command.join(" ")}\n    ${tail}`));
      }
    });
  });

const missingPackages = (wanted) =>
  Object.entries(wanted)
    .filter(([, proofs]) => !proofs.some((proof) => existsSync(proof)))
    .map(([name]) => name);

const installDebianPackages = async (wanted) => {
  const missing = missingPackages(wanted);
  if (missing.length === 0) return;
  const manual = `apt-get install -y ${missing.join(" ")}`;
  if (!existsSync("/usr/bin/apt-get")) {
    throw new SetupError(
      `these programs are missing and apt-get is not here: ${missing.join(", ")}. Install them and try again.`,
    );
  }
  if (process.getuid?.() !== 0) throw new SetupError(`packages are missing; run as root: ${manual}`);
  // The nats-server package would start a service of its own on port 4222; Berth runs its own server.
  const hadNats = !missing.includes("nats-server");
  const environment = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", ...missing];
  try {
    await quietly(`Debian packages: ${missing.join(" ")}`, install, environment);
  } catch {
    await quietly("list of Debian packages", ["apt-get", "update", "-q"], environment);
    await quietly(`Debian packages: ${missing.join(" ")}`, install, environment);
  }
  if (!hadNats && existsSync("/run/systemd/system")) {
    execFileSync("systemctl", ["disable", "--now", "nats-server"], { stdio: "ignore" });
  }
  const still = missingPackages(wanted);
  if (still.length > 0)
    throw new SetupError(`still missing after the installation: ${still.join(", ")}. Try: ${manual}`);
};

const checkMachine = () => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`Node ${process.versions.node} is too old; Berth needs 20.19 or newer.`);
  }
  if (process.platform !== "linux") throw new SetupError(`Berth runs on Linux; this is ${process.platform}.`);
  if (process.getuid?.() !== 0) {
    throw new SetupError("Berth starts containers, which needs root. Try: sudo npm start");
  }
};

/** Brings the checkout up to date. `tests` also installs what only the tests use. Throws SetupError with one clear message. */
export const setup = async ({ tests }) => {
  checkMachine();
  await installDebianPackages(tests ? { ...PACKAGES, ...TEST_PACKAGES } : PACKAGES);
  const state = readState();
  for (const step of STEPS) {
    const hash = hashOf(step.inputs);
    if (state[step.name] === hash && existsSync(join(root, step.proof))) continue;
    await quietly(step.name, step.command);
    state[step.name] = hashOf(step.inputs);
    mkdirSync(dirname(stateFile), { recursive: true });
    writeFileSync(stateFile, JSON.stringify(state));
  }
};

/** Runs `main`, turning a SetupError into one message and exit status 1. */
export const runMain = async (main) => {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\nberth: ${error.message}\n`);
    process.exitCode = 1;
  }
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runMain(() => setup({ tests: process.argv.includes("--tests") }));
}
