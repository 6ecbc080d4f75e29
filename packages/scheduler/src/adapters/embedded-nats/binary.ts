/** Finds nats-server and its version. Nothing is ever downloaded. */
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { StartupProblem } from "../../ports/startup-problem.ts";

export interface NatsBinary {
  readonly path: string;
  readonly version: readonly [number, number, number];
}

/** The oldest server that has everything Berth needs. */
const OLDEST: NatsBinary["version"] = [2, 9, 0];

export const isAtLeast = (version: NatsBinary["version"], least: NatsBinary["version"]): boolean => {
  for (let at = 0; at < 3; at += 1) {
    const difference = (version[at] ?? 0) - (least[at] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
};

export const parseVersion = (output: string): NatsBinary["version"] | undefined => {
  const match = /v?(\d+)\.(\d+)\.(\d+)/.exec(output);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
};

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/** Debian's daemons lie in /usr/sbin, which is not on every user's PATH. */
const directories = (env: NodeJS.ProcessEnv): string[] => [
  ...(env["PATH"] ?? "").split(delimiter).filter((directory) => directory !== ""),
  "/usr/sbin",
  "/usr/local/sbin",
  "/usr/local/bin",
];

const findPath = async (env: NodeJS.ProcessEnv): Promise<string> => {
  const given = env["NATS_SERVER_BIN"];
  if (given !== undefined && given !== "") {
    if (await isExecutable(given)) return given;
    throw new StartupProblem(`NATS_SERVER_BIN names ${given}, which cannot be executed`);
  }
  for (const directory of directories(env)) {
    const path = join(directory, "nats-server");
    if (await isExecutable(path)) return path;
  }
  throw new StartupProblem(
    "nats-server was not found; install it with: apt-get install nats-server (or set NATS_SERVER_BIN, or use a running one with --nats-url)",
  );
};

export const findNatsServer = async (env: NodeJS.ProcessEnv): Promise<NatsBinary> => {
  const path = await findPath(env);
  let output: string;
  try {
    output = (await promisify(execFile)(path, ["--version"], { timeout: 10_000 })).stdout;
  } catch (error) {
    throw new StartupProblem(`${path} --version failed; is it a nats-server?`, { cause: error });
  }
  const version = parseVersion(output);
  if (version === undefined)
    throw new StartupProblem(`${path} --version says "${output.trim()}"; is it a nats-server?`);
  if (!isAtLeast(version, OLDEST)) {
    throw new StartupProblem(`${path} is nats-server ${version.join(".")}; Berth needs ${OLDEST.join(".")} or newer`);
  }
  return { path, version };
};
