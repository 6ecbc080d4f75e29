/** `berth exec TASK -- COMMAND…`: another program beside a running task, with its exit status. */
import { InvalidArgumentError } from "commander";
import {
  formatBytes,
  MAX_CPU_MILLIS,
  MAX_MEMORY_BYTES,
  MAX_PIDS,
  MIN_CPU_MILLIS,
  MIN_EXEC_PIDS,
  MIN_MEMORY_BYTES,
  parseBytes,
  parseCpuMillis,
  type Result,
  type SessionRequest,
} from "@berth/schema";
import type { Io } from "../io.ts";
import { clamped, runSessionVerb, type SessionVerbOptions } from "./session-verb.ts";
import { wholeNumber, withConnection, withExamples, withProject, type Register } from "./verb.ts";

interface ExecOptions extends SessionVerbOptions {
  readonly tty?: boolean;
  readonly user?: string;
  readonly workdir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cpu?: number;
  readonly memory?: number;
  readonly pids?: number;
}

const collectEnv = (text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => {
  const at = text.indexOf("=");
  const name = at < 0 ? text : text.slice(0, at);
  if (at < 0 || !/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) throw new InvalidArgumentError("write NAME=VALUE");
  return { ...before, [name]: text.slice(at + 1) };
};

const quantity =
  (parse: (text: string) => Result<number, string>, least: number, most: number, words: string) =>
  (text: string): number => {
    const parsed = parse(text);
    if (!parsed.ok) throw new InvalidArgumentError(parsed.error);
    if (parsed.value < least || parsed.value > most) throw new InvalidArgumentError(`write ${words}`);
    return parsed.value;
  };
const cpus = quantity(parseCpuMillis, MIN_CPU_MILLIS, MAX_CPU_MILLIS, "10m to 1000000 CPUs");
const memory = quantity(
  parseBytes,
  MIN_MEMORY_BYTES,
  MAX_MEMORY_BYTES,
  `${formatBytes(MIN_MEMORY_BYTES)} to ${formatBytes(MAX_MEMORY_BYTES)}`,
);

const limitsOf = ({ cpu, memory: bytes, pids }: ExecOptions): Pick<SessionRequest & { kind: "exec" }, "limits"> => {
  const limits = {
    ...(cpu === undefined ? {} : { cpuMillis: cpu }),
    ...(bytes === undefined ? {} : { memoryBytes: bytes }),
    ...(pids === undefined ? {} : { pids }),
  };
  return Object.keys(limits).length === 0 ? {} : { limits };
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
    .option("--cpu <cpus>", "the most processor time that it gets, like 0.5 or 250m", cpus)
    .option("--memory <size>", "the most memory that it gets, like 64Mi; beyond it, it is killed", memory)
    .option("--pids <n>", "the most processes and threads", wholeNumber(MIN_EXEC_PIDS, MAX_PIDS))
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
        ...limitsOf(options),
        ...(env === undefined && size === undefined ? {} : { env: { ...terminalEnv(io, size), ...env } }),
      };
      finish(await runSessionVerb(io, keyboard, task, options, request));
    });
  withExamples(withProject(withConnection(command)), [
    ["berth exec -it web -- sh", "a shell in the container"],
    ["berth exec 'web[2]' -- cat /etc/os-release", "one command; its exit status is that of berth"],
    ["berth exec --cpu 0.5 --memory 64Mi web -- gzip -k /var/log/all", "held to less than its container may use"],
  ]);
};

const terminalEnv = (io: Io, size: object | undefined): Readonly<Record<string, string>> => {
  const term = io.env["TERM"] ?? "";
  return size === undefined || term === "" ? {} : { TERM: term };
};
