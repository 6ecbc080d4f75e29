/**
 * The scheduler's directory and its lock. One process at a time: two of them on one store would destroy it. The lock is
 * flock(2) on an open file, so that the kernel releases it however the process ends.
 */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { StartupProblem } from "../../ports/startup-problem.ts";

/** The authority of this scheduler's listeners, and their certificate. */
export interface TlsFiles {
  readonly caKey: string;
  readonly caCertificate: string;
  readonly serverKey: string;
  readonly serverCertificate: string;
}

export interface DataDir {
  readonly root: string;
  readonly adminToken: string;
  readonly clusterKey: string;
  readonly clusterPublicKey: string;
  readonly controlSeed: string;
  readonly logState: string;
  readonly lastUses: string;
  readonly snapshots: string;
  /** A backup that the next start makes the cluster of. */
  readonly restore: string;
  readonly nats: string;
  readonly tls: TlsFiles;
  readonly release: () => void;
}

const lock = (path: string): (() => void) => {
  const fd = openSync(path, "w", 0o600);
  // flock(1) locks the open file description that it inherits as fd 3; the lock stays with ours when it exits.
  const { status, error } = spawnSync("flock", ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", fd] });
  if (status === 0) return () => closeSync(fd);
  closeSync(fd);
  if (error !== undefined) {
    throw new StartupProblem(`cannot lock ${path}: ${error.message}; install it with: apt-get install util-linux`);
  }
  throw new StartupProblem(
    `another scheduler is using ${path}; stop it first, or give this one another directory with --data-dir`,
  );
};

/** Like `mkdir -p`; Node's own recursive one never ends where nothing can be made (/proc). */
const makeDirectories = async (path: string): Promise<void> => {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    if (existsSync(at) || at === dirname(at)) break;
    missing.unshift(at);
  }
  for (const directory of missing) {
    await mkdir(directory, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
};

export const openDataDir = async (dataDir: string): Promise<DataDir> => {
  const root = resolve(dataDir, "scheduler");
  const nats = join(root, "nats");
  try {
    await makeDirectories(nats);
    await makeDirectories(join(root, "tls"));
    await chmod(root, 0o700);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartupProblem(`cannot use the data directory ${dataDir}: ${why}; give another one with --data-dir`, {
      cause: error,
    });
  }
  return {
    root,
    adminToken: join(root, "admin.token"),
    clusterKey: join(root, "cluster.key"),
    clusterPublicKey: join(root, "cluster.pub"),
    controlSeed: join(root, "control.nk"),
    logState: join(root, "log.state"),
    lastUses: join(root, "last-used.json"),
    snapshots: join(root, "snapshots"),
    restore: join(root, "restore.snapshot"),
    nats,
    tls: {
      caKey: join(root, "tls", "ca.key"),
      caCertificate: join(root, "tls", "ca.crt"),
      serverKey: join(root, "tls", "server.key"),
      serverCertificate: join(root, "tls", "server.crt"),
    },
    release: lock(join(root, "lock")),
  };
};
