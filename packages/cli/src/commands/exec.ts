/** `berth exec TASK -- COMMAND…`: another program beside a running task, with its exit status. */
import { InvalidArgumentError } from "commander";
import type { SessionRequest } from "@berth/schema";
import type { Io } from "../io.ts";
import { clamped, runSessionVerb, type SessionVerbOptions } from "./session-verb.ts";
import { withConnection, withExamples, withProject, type Register } from "./verb.ts";

interface ExecOptions extends SessionVerbOptions {
  readonly tty?: boolean;
  readonly user?: string;
  readonly workdir?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const collectEnv = (text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => {
  const at = text.indexOf("=");
  const name = at < 0 ? text : text.slice(0, at);
  if (at < 0 || !/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) throw new InvalidArgumentError("write NAME=VALUE");
  return { ...before, [name]: text.slice(at + 1) };
};

export const registerExec: Register = (program, { io, finish }) => {
  const command = program
    .command("exec")
    .description("run a program beside a running task, in its container")
    .argument("<task>", "job for its first task, 'job[3]', project/job, or an allocation's id")
    .argument("<cmd...>", "after --")
    .option("-i, --stdin", "pass standard input on")
    .option("-t, --tty", "give it a terminal")
    .option("-u, --user <user>", "name or uid, or with a group: user:group")
    .option("-w, --workdir <dir>", "directory to run in")
    .option("-e, --env <name=value>", "beside the container's own (may be repeated)", collectEnv)
    .action(async (task: string, words: string[], options: ExecOptions) => {
      const { user, workdir, env } = options;
      const keyboard = io.keyboard();
      const size = options.tty === true ? clamped(keyboard.size() ?? { columns: 80, rows: 24 }) : undefined;
      const request: SessionRequest = {
        kind: "exec",
        command: words,
        ...(options.stdin === true ? { stdin: true } : {}),
        ...(size === undefined ? {} : { terminal: size }),
        ...(user === undefined ? {} : { user }),
        ...(workdir === undefined ? {} : { workdir }),
        ...(env === undefined && size === undefined ? {} : { env: { ...terminalEnv(io, size), ...env } }),
      };
      finish(await runSessionVerb(io, keyboard, task, options, request));
    });
  withExamples(withProject(withConnection(command)), [
    ["berth exec -it web -- sh", "a shell in the container"],
    ["berth exec 'web[2]' -- cat /etc/os-release", "one command; its exit status is that of berth"],
  ]);
};

const terminalEnv = (io: Io, size: object | undefined): Readonly<Record<string, string>> => {
  const term = io.env["TERM"] ?? "";
  return size === undefined || term === "" ? {} : { TERM: term };
};
