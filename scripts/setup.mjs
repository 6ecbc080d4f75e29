// Makes a checkout ready to run: Debian packages, npm packages, everything built. Whatever is up to date is left alone, so
// that a second run takes a second and needs no network. Plain Node: it runs before anything is installed.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { installPackages, missingPackages } from "./lib/debian.mjs";
import { whenChanged } from "./lib/stamp.mjs";
import { report, root, SetupFailure, seconds, step } from "./lib/steps.mjs";

const packageJson = () => JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const bin = (name, folder = ".") => join(root, folder, "node_modules", ".bin", name);

const checkNode = () => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupFailure(`Berth needs Node 20.19 or newer; this is ${process.versions.node}`, {
    todo: ["install a newer Node, then start again"],
  });
};

const checkRoot = (command) => {
  if (process.geteuid?.() === 0) return;
  throw new SetupFailure("Berth needs root: namespaces, mounts and cgroups are made by it", {
    todo: [`sudo ${command}`],
  });
};

/** pnpm keeps the lock file that it installed from: the packages are there when it is the same as ours. */
const isInstalled = () => {
  const installed = join(root, "node_modules", ".pnpm", "lock.yaml");
  return (
    existsSync(installed) && readFileSync(installed, "utf8") === readFileSync(join(root, "pnpm-lock.yaml"), "utf8")
  );
};

const manifests = () => [
  "pnpm-lock.yaml",
  "pnpm-workspace.yaml",
  "package.json",
  ...packages().map((name) => `packages/${name}/package.json`),
  "e2e/package.json",
  "bench/package.json",
];

const packages = () =>
  readdirSync(join(root, "packages")).filter((name) => existsSync(join(root, "packages", name, "package.json")));

const install = (run) =>
  whenChanged("install", { inputs: manifests(), outputs: ["node_modules/.pnpm/lock.yaml"] }, async () => {
    const [name, version] = packageJson().packageManager.split("@");
    const todo = ["check that this machine reaches the npm registry, then start again"];
    const args = ["--yes", `${name}@${version}`, "install", "--frozen-lockfile"];
    // CI: no questions, also when what is there has to be replaced.
    await run("npx", args, { env: { CI: "true" }, todo: isInstalled() ? [] : todo });
  });

const TS_PACKAGES = ["schema", "native", "agent", "scheduler", "cli"];

const buildTypeScript = (run) =>
  whenChanged(
    "typescript",
    {
      inputs: [
        "tsconfig.json",
        "tsconfig.base.json",
        "pnpm-lock.yaml",
        ...TS_PACKAGES.flatMap((name) => [
          `packages/${name}/src`,
          `packages/${name}/lib`,
          `packages/${name}/tsconfig.json`,
        ]),
      ],
      outputs: TS_PACKAGES.map((name) => `packages/${name}/dist/index.js`),
    },
    () => run(bin("tsc"), ["-b"]),
  );

/** What the built programs load instead of hundreds of modules. */
const bundleTypebox = (run) =>
  whenChanged(
    "typebox",
    {
      inputs: ["packages/schema/scripts", "packages/schema/package.json", "pnpm-lock.yaml"],
      outputs: ["index", "compile", "value"].map((name) => `packages/schema/build/typebox/${name}.js`),
    },
    () => run(process.execPath, ["packages/schema/scripts/bundle-typebox.mjs"]),
  );

/** What the scheduler counts its scores with: TypeScript of its own, that becomes WebAssembly in a module. */
const buildKernel = (run) =>
  whenChanged(
    "kernel",
    {
      inputs: ["packages/scheduler/kernel", "packages/scheduler/scripts", "pnpm-lock.yaml"],
      outputs: ["packages/scheduler/src/core/score-kernel.gen.ts"],
    },
    () => run(process.execPath, ["packages/scheduler/scripts/build.mjs"]),
  );

/** It has its own, finer check of what has changed; this one saves starting it. */
const buildNative = (run) =>
  whenChanged(
    "native",
    {
      inputs: ["packages/native/include", "packages/native/src", "packages/native/scripts", "pnpm-lock.yaml"],
      outputs: ["packages/native/build/native/berth_native.node", "packages/native/build/native/berth-supervisor"],
    },
    () => run(process.execPath, ["scripts/build.mjs"], { cwd: join(root, "packages/native") }),
  );

const buildWeb = (run) =>
  whenChanged(
    "web",
    { inputs: ["packages/web", "packages/schema/src", "pnpm-lock.yaml"], outputs: ["packages/web/dist/index.html"] },
    () => run(bin("vite", "packages/web"), ["build"], { cwd: join(root, "packages/web") }),
  );

const upToDate = (ran) => (ran ? undefined : "up to date");

/** `tests`: also what only the tests need. Rejects with a SetupFailure. */
export const setup = async ({ tests, command }) => {
  const started = performance.now();
  checkNode();
  checkRoot(command);
  process.stderr.write("Setting up\n");
  await step("Debian packages", async (run) => {
    const missing = missingPackages(tests);
    if (missing.length === 0) return "all there";
    await installPackages(missing, run);
    const still = missingPackages(tests);
    if (still.length > 0)
      throw new SetupFailure(`still missing after the installation: ${still.join(", ")}`, { todo: ["berth doctor"] });
    return undefined;
  });
  await step("npm packages", async (run) => upToDate(await install(run)));
  await step("score kernel", async (run) => upToDate(await buildKernel(run)));
  await step("TypeScript", async (run) => upToDate(await buildTypeScript(run)));
  await step("TypeBox", async (run) => upToDate(await bundleTypebox(run)));
  await step("native package", async (run) => upToDate(await buildNative(run)));
  await step("dashboard", async (run) => upToDate(await buildWeb(run)));
  process.stderr.write(`Ready after ${seconds(performance.now() - started)}\n`);
};

/** Runs `work`; a failure is reported and becomes exit status 1. */
export const guarded = async (work) => {
  try {
    await work();
  } catch (error) {
    report(error);
    process.exit(1);
  }
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await guarded(() => setup({ tests: process.argv.includes("--tests"), command: "npm run setup" }));
}
