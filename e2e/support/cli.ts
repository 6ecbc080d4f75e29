/** The built command line, run as a user would: its own process, real pipes, real exit status. */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const BERTH = fileURLToPath(new URL("../../packages/cli/bin/berth.mjs", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly timeoutMs?: number;
}

/** Nothing of the developer's own settings reaches the programs under test. */
export const environment = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: process.env["HOME"] ?? "/root",
  LANG: "C.UTF-8",
  ...more,
});

export const spawnBerth = (args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess =>
  spawn(process.execPath, [BERTH, ...args], { cwd: ROOT, env: environment(env), stdio: ["pipe", "pipe", "pipe"] });

export const runBerth = (args: readonly string[], options: RunOptions = {}): Promise<Finished> =>
  finish(spawnBerth(args, options.env), args, options);

/** Waits for its end. A command that hangs is killed and fails with what it had said. */
export const finish = async (child: ChildProcess, args: readonly string[], options: RunOptions): Promise<Finished> => {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.stdin ?? "");
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, options.timeoutMs ?? 120_000);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (...end) => resolve(end));
  });
  clearTimeout(timer);
  const finished = { code, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
  if (late) throw new Error(`berth ${args.join(" ")} did not end: ${JSON.stringify(finished)}`);
  return finished;
};
