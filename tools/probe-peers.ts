/**
 * `pnpm probe:peers`: the isolation probe (packages/native/test/probe) under bubblewrap and crun, where they are
 * installed, with the isolation that their own documentation starts with. Prints how often each kind of finding came up;
 * what Berth's containers show is the test security/probe.test.ts. Only for comparison: it fails for nobody.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../packages/native/test/probe", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "berth-peers-"));
const rootfs = join(directory, "rootfs");
const probe = join(rootfs, "probe");

const namespaces = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"].map((name) =>
  readlinkSync(`/proc/self/ns/${name}`),
);
const argument = [`canary=${directory}`, `namespaces=${namespaces.join(" ")}`];

const bundle = (): void => {
  execFileSync("crun", ["spec"], { cwd: directory });
  const path = join(directory, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as {
    process: Record<string, unknown>;
    mounts: readonly { readonly type: string }[];
  };
  config.process = { ...config.process, terminal: false, args: ["/probe", ...argument] };
  /* On hosts with both versions it refuses its own default. */
  config.mounts = config.mounts.filter(({ type }) => type !== "cgroup");
  writeFileSync(path, JSON.stringify(config));
};

const peers: Readonly<Record<string, () => readonly string[]>> = {
  bwrap: () => [
    ...[
      "--unshare-all",
      "--unshare-user",
      "--uid",
      "0",
      "--gid",
      "0",
      "--die-with-parent",
      "--new-session",
      "--clearenv",
    ],
    ...["--bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/probe", ...argument],
  ],
  crun: () => {
    bundle();
    return ["run", "--bundle", directory, `berth-probe-${process.pid}`];
  },
};

const judge = (output: string): string => {
  const counts = new Map<string, number>();
  for (const line of output.split("\n").filter((text) => text.startsWith('{"probe"'))) {
    const { probe: kind } = JSON.parse(line) as { readonly probe: string };
    if (kind !== "end") counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${kind} ${count}`).join(", ") || "nothing";
};

try {
  for (const name of ["proc", "sys", "dev", "tmp"]) mkdirSync(join(rootfs, name), { recursive: true });
  const files = readdirSync(source).filter((name) => name.endsWith(".c"));
  execFileSync("gcc", ["-std=gnu17", "-O1", "-static", "-D_GNU_SOURCE", "-o", probe, ...files], { cwd: source });
  for (const [name, args] of Object.entries(peers)) {
    if (spawnSync("which", [name]).status !== 0) {
      process.stdout.write(`${name}: not installed\n`);
      continue;
    }
    const { stdout, stderr } = spawnSync(name, args(), { encoding: "utf8", timeout: 120_000 });
    process.stdout.write(stdout === "" ? `${name}: ${stderr}` : `${name}: ${judge(stdout)}\n`);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
