/** podman and docker, with directories and a daemon of their own, without a network, and with their default filter. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram, type Absent, type Contestant } from "../contestant.ts";
import type { Floor } from "../floor.ts";
import type { Place } from "../place.ts";

/** An engine goes on working when its client is done: what it clears away must not fall on whoever is next. */
const SETTLE_MS = 500;
const rest = async (): Promise<void> => {
  await sleep(SETTLE_MS);
};

const LIMITS = ["--memory", "64m", "--cpus", "1", "--cpu-shares", "512", "--pids-limit", "64"];

export const podmanPeer = async (place: Place, launcher: Floor): Promise<Contestant | Absent> => {
  const name = "podman";
  const program = findProgram("podman");
  if (program === undefined) return { name, absent: "not installed (Debian: apt-get install podman)" };
  const directory = join(place.directory, "podman");
  const words = [
    ...[program, "--root", join(directory, "root"), "--runroot", join(directory, "run"), "--storage-driver", "overlay"],
    ...["--cgroup-manager", "cgroupfs", "--runtime", findProgram("crun") === undefined ? "runc" : "crun"],
    ...["run", "--rm", "--network", "none", "--cgroup-parent", `/${place.cgroupParent}`, ...LIMITS],
    /* Its defaults lie above what a machine may allow. */
    ...["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--rootfs", place.image, "/bin/true"],
  ];
  const peer: Contestant = {
    name,
    slow: true,
    start: () => launcher.spawn(words),
    rest,
    close: () => Promise.resolve(),
  };
  return await tried(peer);
};

export const dockerPeer = async (place: Place, launcher: Floor): Promise<Contestant | Absent> => {
  const name = "docker";
  const daemon = findProgram("dockerd");
  const client = findProgram("docker");
  if (daemon === undefined || client === undefined)
    return { name, absent: "not installed (Debian: apt-get install docker.io)" };
  const directory = join(place.directory, "docker");
  mkdirSync(directory);
  const socket = join(directory, "sock");
  const log = openSync(join(directory, "log"), "a");
  const child = spawn(
    daemon,
    [
      ...[
        "--data-root",
        join(directory, "data"),
        "--exec-root",
        join(directory, "exec"),
        "--pidfile",
        join(directory, "pid"),
      ],
      ...["-H", `unix://${socket}`, "--iptables=false", "--ip6tables=false", "--bridge=none"],
      ...["--cgroup-parent", `/${place.cgroupParent}`],
    ],
    { stdio: ["ignore", log, log] },
  );
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const close = async (): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
  };
  let left = 100;
  while (!existsSync(socket) && child.exitCode === null && (left -= 1) > 0) await sleep(100);
  try {
    if (child.exitCode !== null || left === 0) throw new Error("the daemon does not start here");
    const tar = execFileSync("tar", ["-C", place.image, "-c", "."], { maxBuffer: 64 * 1024 * 1024 });
    execFileSync(client, ["-H", `unix://${socket}`, "import", "-", "bench"], {
      input: tar,
      stdio: ["pipe", "ignore", "pipe"],
    });
  } catch (cause) {
    await close();
    return { name, absent: firstLine(cause) };
  }
  const words = [client, "-H", `unix://${socket}`, "run", "--rm", "--network", "none", ...LIMITS, "bench", "/bin/true"];
  const peer = await tried({ name, slow: true, start: () => launcher.spawn(words), rest, close });
  if ("absent" in peer) await close();
  return peer;
};

const tried = async (peer: Contestant): Promise<Contestant | Absent> => {
  try {
    await peer.start();
    return peer;
  } catch (cause) {
    return { name: peer.name, absent: firstLine(cause) };
  }
};

const firstLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split("\n")[0] ?? "";
