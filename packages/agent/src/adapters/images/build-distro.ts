/**
 * Builds the root file system of a distribution from a mirror, through mmdebstrap(1), as an archive that is read as it
 * comes. It runs as root of a user namespace of its own, with a range of ids that no container has, its own processes and
 * mounts; of the host's files it can change only those below its directory, which is its /tmp. It shares the host's
 * network: packages come from there, and apt believes only what the archive's keys have signed.
 *
 * Whatever is killed, all of it ends: what holds the user namespace ends with our end of a pipe, what builds is told to
 * die with this process (PR_SET_PDEATHSIG), and everything below with the first process of its pid namespace.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, readlink, rm, statfs, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { DistroReference } from "@berth/schema";
import { debianMirrors, parseAptSources, type AptFile, type Mirrors } from "../../core/images/apt-sources.ts";
import { failureOf, mmdebstrapArguments, stepOf, type DebianBuild } from "../../core/images/debian-plan.ts";
import type { ImageWork } from "../../ports/images.ts";
import { DISK_IS_FULL } from "./full-disk.ts";
import { walkTree } from "../volumes/walk-tree.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PROGRAMS = ["mmdebstrap", "unshare", "nsenter", "setpriv"];
const IDS = 65_536;
const LOOK_MS = 1_000;
const MAX_LINES = 200;
const APT = "/etc/apt";
/** What is left of the disk when a build gives up. */
const KEPT_SHARE = 0.05;

const isProgram = (name: string): boolean =>
  PATH.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** A sentence when nothing can be built on this host. */
export const cannotBuild = (): string | undefined => {
  const absent = PROGRAMS.filter((name) => !isProgram(name));
  if (absent.length === 0) return undefined;
  return `${absent.join(", ")} cannot be found on this host: apt-get install mmdebstrap util-linux, or build on another one (--host)`;
};

const readAll = (directory: string): AptFile[] => {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(?:list|sources)$/.test(name))
      .toSorted()
      .map((name) => ({ name, text: readFileSync(join(directory, name), "utf8") }));
  } catch {
    return [];
  }
};

/** What this host's apt is told. */
export const hostMirrors = (): Mirrors | undefined => {
  let main = "";
  try {
    main = readFileSync(join(APT, "sources.list"), "utf8");
  } catch {
    /* Newer hosts have only the directory. */
  }
  const files = [{ name: "sources.list", text: main }, ...readAll(join(APT, "sources.list.d"))];
  return debianMirrors(parseAptSources(files));
};

/** A user namespace whose ids begin at `idBase`, for as long as it is not closed. */
const holdUserNamespace = async (idBase: number): Promise<{ readonly path: string; readonly close: () => void }> => {
  const holder = spawn("unshare", ["--user", "--", "sh", "-c", "read -r _"], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH },
  });
  const close = (): void => void holder.kill("SIGKILL");
  const failed = new Promise<never>((_resolve, reject) => {
    holder.once("error", reject);
    holder.once("close", () => reject(new Error("a user namespace cannot be made on this host")));
  });
  failed.catch(() => undefined);
  const path = `/proc/${holder.pid}/ns/user`;
  const made = async (): Promise<void> => {
    const own = await readlink("/proc/self/ns/user");
    while ((await readlink(path)) === own) await sleep(5);
    for (const map of ["uid_map", "gid_map"]) await writeFile(`/proc/${holder.pid}/${map}`, `0 ${idBase} ${IDS}\n`);
  };
  try {
    await Promise.race([made(), failed]);
  } catch (error) {
    close();
    throw error;
  }
  return { path, close };
};

export interface BuildOptions extends ImageWork {
  readonly reference: DistroReference;
  readonly from: DebianBuild;
  /** Made here, and removed at the end. */
  readonly directory: string;
  readonly idBase: number;
  /** The most that it may take of the disk meanwhile. */
  readonly mostBytes: number;
}

/** In a mount namespace of its own, what others may write is replaced by its own directory; then it gives up all rights. */
const ENTER = `
mount --bind "$1" /tmp && mount --bind /tmp /var/tmp && mount -t tmpfs -o size=16m,mode=1777 none /dev/shm || exit 125
namespace=$2; shift 2
exec nsenter --user="$namespace" -S 0 -G 0 -- setpriv --pdeathsig KILL -- \
  unshare --mount --pid --ipc --uts --cgroup --fork --kill-child=KILL --mount-proc -- "$@"
`;

const environment = (): NodeJS.ProcessEnv => {
  const env: NodeJS.ProcessEnv = {
    PATH,
    HOME: "/tmp",
    TMPDIR: "/tmp",
    LANG: "C.UTF-8",
    DEBIAN_FRONTEND: "noninteractive",
  };
  for (const name of ["http_proxy", "https_proxy", "no_proxy"]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
};

const start = (namespace: string, { directory, from, reference }: BuildOptions) =>
  spawn(
    "nice",
    [
      "unshare",
      "--mount",
      "--propagation",
      "private",
      "--",
      "sh",
      "-c",
      ENTER,
      "sh",
      directory,
      namespace,
      "mmdebstrap",
    ].concat(mmdebstrapArguments(reference, from)),
    { stdio: ["ignore", "pipe", "pipe"], env: environment(), cwd: "/" },
  );

/** The archive of the root file system, as it comes. What goes wrong is thrown as a sentence. */
export async function* buildRootfs(options: BuildOptions): AsyncGenerator<Uint8Array> {
  const { directory, idBase, signal } = options;
  signal.throwIfAborted();
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  let child: ReturnType<typeof start> | undefined;
  let namespace: Awaited<ReturnType<typeof holdUserNamespace>> | undefined;
  let watching: Watching | undefined;
  try {
    await chown(directory, idBase, idBase);
    await chmod(directory, 0o1777);
    namespace = await holdUserNamespace(idBase);
    child = start(namespace.path, options);
    const ended = endOf(child);
    watching = watch(child, options);
    for await (const data of child.stdout) yield data as Uint8Array;
    const code = await ended;
    signal.throwIfAborted();
    if (watching.tooMuch() !== undefined) throw new Error(watching.tooMuch());
    if (code !== 0) throw new Error(`mmdebstrap: ${failureOf(watching.lines) || `it ended with ${code}`}`);
  } finally {
    watching?.stop();
    if (child !== undefined) {
      const ended = endOf(child);
      child.kill("SIGKILL");
      await ended;
    }
    namespace?.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

const endOf = (child: ChildProcess): Promise<number | string> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode ?? child.signalCode ?? "");
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, by) => resolve(code ?? by ?? ""));
  });

interface Watching {
  readonly lines: readonly string[];
  readonly tooMuch: () => string | undefined;
  readonly stop: () => void;
}

/** Follows its talk and what it takes of the disk, and ends it when it is not wanted any more or takes too much. */
const watch = (child: ReturnType<typeof start>, { directory, mostBytes, progress, signal }: BuildOptions): Watching => {
  const lines: string[] = [];
  let step: ReturnType<typeof stepOf>;
  let tooMuch: string | undefined;
  let bytes = 0;
  let before = 0;
  let looking = false;
  const done = (): void => {
    if (step !== undefined) progress.layer(step.label, "done", bytes - before, null);
    before = bytes;
  };
  createInterface({ input: child.stderr }).on("line", (line) => {
    lines.push(line);
    if (lines.length > MAX_LINES) lines.shift();
    const next = stepOf(line);
    if (line.startsWith("I: creating tarball")) done();
    if (next === undefined || next.label === step?.label) return;
    done();
    step = next;
    progress.layer(step.label, step.phase, 0, null);
  });
  const look = async (): Promise<void> => {
    let sum = 0;
    await walkTree(directory, ({ blocks }) => (sum += blocks * 512), signal);
    bytes = sum;
    if (step !== undefined) progress.layer(step.label, step.phase, Math.max(0, bytes - before), null);
    const disk = await statfs(directory);
    if (bytes > mostBytes) tooMuch = `it takes more than ${mostBytes} bytes of the disk`;
    else if (disk.bavail < disk.blocks * KEPT_SHARE) tooMuch = DISK_IS_FULL;
    if (tooMuch !== undefined) child.kill("SIGKILL");
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look()
      .catch(() => undefined)
      .finally(() => (looking = false));
  }, LOOK_MS);
  const kill = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  return {
    lines,
    tooMuch: () => tooMuch,
    stop: () => {
      clearInterval(timer);
      signal.removeEventListener("abort", kill);
    },
  };
};
