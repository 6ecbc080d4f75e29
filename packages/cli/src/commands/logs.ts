/** `berth logs TASK`: what a task wrote, byte for byte: its stdout on stdout, its stderr on stderr. */
import { Option } from "commander";
import { isTerminal, problem, taskName, taskTotal, type AllocationView } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import type { Client } from "../client/client.ts";
import { copyOutput, type StreamName } from "../client/follow.ts";
import { attemptsOf, getJob, taskRef, type TaskRef } from "../client/queries.ts";
import { watchJob } from "../client/watch.ts";
import { Exit, failureOf, type Failure } from "../failure.ts";
import { say, type Io, type Sink } from "../io.ts";
import {
  clientOf,
  wholeNumber,
  withConnection,
  withExamples,
  withProject,
  type ProjectOptions,
  type Register,
} from "./verb.ts";

interface LogsOptions extends ConnectionOptions, ProjectOptions {
  readonly follow?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly attempt?: number;
}

export const registerLogs: Register = (program, { io, finish }) => {
  const command = program
    .command("logs")
    .description("print what a task has written")
    .argument("<task>", "job for its first task, 'job[3]', or project/job")
    .option("-f, --follow", "keep printing until the task is over, over its restarts too")
    .addOption(new Option("--stdout", "standard output alone").conflicts("stderr"))
    .option("--stderr", "standard error alone, on stdout")
    .addOption(
      new Option("--attempt <n>", "an earlier attempt (see `berth ps JOB --all`)")
        .argParser(wholeNumber(1, 1_000_000))
        .conflicts("follow"),
    )
    .action(async (task: string, options: LogsOptions) => {
      finish(await logs(io, taskRef(task, options.project), options));
    });
  withExamples(withProject(withConnection(command)), [
    ["berth logs hello", "of a job with one task"],
    ["berth logs -f 'ticker[2]'", "stay and print what comes"],
  ]);
};

const logs = async (io: Io, ref: TaskRef, options: LogsOptions): Promise<number> => {
  const client = clientOf(io, options);
  const sinks = sinksFor(io, options);
  const attempts = await attemptsOf(client, ref);
  const newest = attempts[0];
  const chosen =
    options.attempt === undefined
      ? newest
      : attempts.find((one) => one.jobVersion === newest?.jobVersion && one.attempt === options.attempt);
  try {
    if (options.follow === true) return await followTask(io, client, ref, chosen, sinks);
    if (chosen === undefined) throw await nothingToShow(client, ref, options.attempt);
    await copyOutput(client, { allocation: chosen.id, follow: false, sinks, signal: io.stop });
    return Exit.ok;
  } catch (error) {
    if (io.stop.aborted) return Exit.interrupted;
    throw error;
  }
};

const sinksFor = (io: Io, options: LogsOptions): Partial<Record<StreamName, Pick<Sink, "write">>> => {
  if (options.stdout === true) return { stdout: io.out };
  if (options.stderr === true) return { stderr: io.out };
  return { stdout: io.out, stderr: io.err };
};

const nothingToShow = async (client: Client, ref: TaskRef, attempt: number | undefined): Promise<Failure> => {
  const name = `${ref.project}/${ref.job}[${ref.index}]`;
  const { value: job } = await getJob(client, { project: ref.project, job: ref.job });
  const count = taskTotal(job.tasks);
  if (ref.index >= count) {
    return failureOf(
      problem("task.not_found", `${ref.job} has ${count} tasks${count === 0 ? "" : `: 0 to ${count - 1}`}`),
    );
  }
  if (attempt !== undefined) {
    return failureOf(problem("allocation.not_found", `${name} has no attempt ${attempt} any more`)).with({
      next: [`berth ps ${ref.project}/${ref.job} --all`],
    });
  }
  return failureOf(problem("allocation.no_logs", `${name} has not been started yet`)).with({
    next: [`berth why '${name}'`],
  });
};

/** One attempt after the other, beginning with the present one, until the job is over. */
const followTask = async (
  io: Io,
  client: Client,
  ref: TaskRef,
  first: AllocationView | undefined,
  sinks: Partial<Record<StreamName, Pick<Sink, "write">>>,
): Promise<number> => {
  const done = new Set<string>();
  const follow = async (one: AllocationView): Promise<void> => {
    if (done.size > 0) await say(io, `${taskName(one.job, one.index)}: attempt ${one.attempt} on ${one.hostId}`);
    done.add(one.id);
    await copyOutput(client, { allocation: one.id, follow: true, sinks, signal: io.stop });
  };
  if (first !== undefined) await follow(first);
  const onOutage = (failure: Failure): void => void say(io, `${failure.detail ?? failure.message}; trying again`);
  for await (const _job of watchJob(client, ref, { signal: io.stop, onOutage })) {
    for (const one of (await attemptsOf(client, ref, { bridge: true, signal: io.stop })).toReversed()) {
      const newer = first === undefined || one.jobVersion > first.jobVersion || one.attempt > first.attempt;
      if (newer && !done.has(one.id) && (!isTerminal(one.state) || one.exit?.startedAtMs !== null)) await follow(one);
    }
  }
  if (done.size === 0) throw await nothingToShow(client, ref, undefined);
  return Exit.ok;
};
