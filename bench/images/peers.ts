/** Other tools that pull and unpack images, as far as they are installed. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../runtime/contestant.ts";

const DEBIAN = ["umoci", "skopeo", "buildah", "docker-registry"];

export interface PullPeer {
  readonly name: string;
  readonly absent: string | undefined;
  /** Pulls and unpacks into an empty directory; milliseconds. */
  readonly pull: (directory: string) => Promise<number>;
  /** Lets go of the directory, so that its file system can be unmounted. */
  readonly release: (directory: string) => void;
}

/** Asks apt-get for the missing ones; what cannot be had stays missing, and its row says so. */
export const installPullPeers = (): void => {
  const missing = DEBIAN.filter((program) => findProgram(program) === undefined);
  if (missing.length === 0) return;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const words = ["install", "-y", "-q", "--no-install-recommends", ...missing];
  spawnSync("apt-get", words, { env, stdio: ["ignore", 2, 2] });
};

const run = (command: string, words: readonly string[]): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => (said = (said + bytes.toString()).slice(-500)));
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}: ${said}`)),
    );
  });

const timed = async (work: () => Promise<void>): Promise<number> => {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
};

const absentOf = (...programs: readonly string[]): string | undefined => {
  const missing = programs.filter((program) => findProgram(program) === undefined);
  return missing.length === 0 ? undefined : `${missing.join(", ")} not installed`;
};

export const pullPeers = (image: string, scratch: string): readonly PullPeer[] => {
  const policy = join(scratch, "policy.json");
  writeFileSync(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const buildah = (directory: string, ...words: string[]): Promise<void> => {
    const root = [
      "--root",
      join(directory, "root"),
      "--runroot",
      join(directory, "run"),
      "--storage-driver",
      "overlay",
    ];
    return run("buildah", [...root, ...words]);
  };
  return [
    {
      name: "skopeo and umoci",
      absent: absentOf("skopeo", "umoci"),
      pull: (directory) =>
        timed(async () => {
          const layout = join(directory, "layout");
          mkdirSync(directory, { recursive: true });
          await run("skopeo", [
            "--policy",
            policy,
            "copy",
            "-q",
            "--src-tls-verify=false",
            `docker://${image}`,
            `oci:${layout}:1`,
          ]);
          await run("umoci", ["unpack", "--image", `${layout}:1`, join(directory, "bundle")]);
        }),
      release: () => undefined,
    },
    {
      name: "buildah",
      absent: absentOf("buildah"),
      pull: (directory) =>
        timed(async () => {
          mkdirSync(directory, { recursive: true });
          await buildah(
            directory,
            "pull",
            "-q",
            "--tls-verify=false",
            "--signature-policy",
            policy,
            `docker://${image}`,
          );
        }),
      /* Its storage mounts itself on itself. */
      release: (directory) => void spawnSync("umount", [join(directory, "root", "overlay")], { stdio: "ignore" }),
    },
  ];
};
