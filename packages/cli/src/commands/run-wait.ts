/**
 * Waiting for a job that was submitted: progress on stderr, the output of a single task on stdout and stderr as its own,
 * and in the end its exit status. It only watches: whatever happens here, the job goes on.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { taskName, type AllocationView, type JobView } from "@berth/schema";
import type { Client } from "../client/client.ts";
import { followBringing } from "../client/bringing.ts";
import { copyOutput } from "../client/follow.ts";
import { attemptsOf, listAllocations } from "../client/queries.ts";
import { watchJob } from "../client/watch.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io, type Sink } from "../io.ts";
import { printDocument, type Format } from "../output/format.ts";
import { createProgress, type Progress } from "../output/progress.ts";
import { countsText } from "../output/columns.ts";
import { endLine, isTerminalJob, wantedOf } from "../output/progress-text.ts";
import { plainLine } from "../output/style.ts";

/** After the end of the job its last bytes of output may still be on their way, but not for long. */
const DRAIN_MS = 15_000;
const MAX_BLAMED = 5;

export interface WaitOptions {
  readonly timeoutMs: number | undefined;
  /** Set when the final document is wanted instead of the output. */
  readonly format: Format | undefined;
  /** Says nothing of how far it is. */
  readonly quiet?: boolean;
}

export const waitForJob = async (io: Io, client: Client, job: JobView, options: WaitOptions): Promise<number> => {
  const timeout = options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs);
  const signal = timeout === undefined ? io.stop : AbortSignal.any([io.stop, timeout]);
  const progress = createProgress(io, options.quiet);
  const output =
    options.format === undefined && job.spec.count === 1 ? createOutput(io, client, job, progress, signal) : undefined;
  try {
    const last = await watch(io, client, job, progress, output, signal);
    await output?.drain();
    await progress.clear();
    if (options.format !== undefined) {
      await printDocument(io, options.format, { document: last, name: `${last.project}/${last.name}`, text: () => "" });
    }
    return await conclude(io, client, last);
  } catch (error) {
    await progress.clear();
    if (timeout?.aborted === true) throw timedOut(job);
    if (io.stop.aborted) {
      await say(io, `Stopped waiting; ${job.name} goes on. Stop it with: ${io.command} stop ${nameOf(job)}`);
      return Exit.interrupted;
    }
    throw error;
  }
};

const nameOf = (job: JobView): string => (job.project === "default" ? job.name : `${job.project}/${job.name}`);

const timedOut = (job: JobView): Failure =>
  new Failure(`${job.name} has not ended in time`, {
    exit: Exit.timedOut,
    detail: "it goes on; only the waiting has ended",
    next: [`berth job ${nameOf(job)}`, `berth stop ${nameOf(job)}`],
  });

/** The last state worth waiting for: the end of a batch job, a service with all its tasks running, a daemon on all its hosts. */
const watch = async (
  io: Io,
  client: Client,
  job: JobView,
  progress: Progress,
  output: Output | undefined,
  signal: AbortSignal,
): Promise<JobView> => {
  const ref = { project: job.project, job: job.name };
  const onOutage = (failure: Failure): void => {
    void progress.clear().then(() => say(io, `${failure.detail ?? failure.message}; trying again, the job goes on`));
  };
  let last = job;
  const over = new AbortController();
  const bringing = followBringing(client, () => last, progress.bringing, AbortSignal.any([signal, over.signal]));
  try {
    for await (const seen of watchJob(client, ref, { signal, onOutage })) {
      if (seen.version !== job.version) {
        throw new Failure(`${job.name} was replaced by version ${seen.version} while this waited`, {
          exit: Exit.failed,
          next: [`berth job ${nameOf(job)}`],
        });
      }
      last = seen;
      await output?.update(seen);
      if (output === undefined || !output.hasBegun()) await progress.update(seen);
      if (seen.spec.kind !== "batch" && isSettled(seen)) return seen;
    }
    return last;
  } finally {
    over.abort();
    await bringing;
  }
};

/** As many run as should, or as ever will: the others are over for good. */
const isSettled = (job: JobView): boolean =>
  job.tasks.running === wantedOf(job) || job.tasks.pending + job.tasks.starting + job.tasks.stopping === 0;

interface Output {
  /** Looks for attempts that have not been followed yet. */
  readonly update: (job: JobView) => Promise<void>;
  readonly hasBegun: () => boolean;
  readonly drain: () => Promise<void>;
}

/** Attempts of the only task are followed one after the other, in their order. */
const createOutput = (io: Io, client: Client, job: JobView, progress: Progress, signal: AbortSignal): Output => {
  const ref = { project: job.project, job: job.name, index: 0 };
  const followed = new Set<string>();
  const draining = new AbortController();
  const any = AbortSignal.any([signal, draining.signal]);
  let begun = false;
  let chain: Promise<void> = Promise.resolve();
  let broken: Error | undefined;
  const sinkFor = (sink: Sink): Pick<Sink, "write"> => ({
    write: async (data) => {
      if (!begun) await progress.clear();
      begun = true;
      await sink.write(data);
    },
  });
  const sinks = { stdout: sinkFor(io.out), stderr: sinkFor(io.err) };
  const follow = (one: AllocationView): void => {
    followed.add(one.id);
    chain = chain
      .then(() => copyOutput(client, { allocation: one.id, follow: true, sinks, signal: any }))
      .catch((error: unknown) => {
        if (!any.aborted) broken ??= error instanceof Error ? error : new Error(String(error));
      });
  };
  return {
    hasBegun: () => begun,
    update: async (seen) => {
      // A service is waited for only until it is up: its output is for `berth logs -f`.
      if (seen.spec.kind !== "batch" || (seen.tasks.pending === 1 && followed.size === 0)) return;
      const attempts = await attemptsOf(client, ref, { signal, bridge: true });
      for (const one of attempts.toReversed()) {
        if (one.jobVersion === job.version && !followed.has(one.id)) follow(one);
      }
    },
    drain: async () => {
      const timer = new AbortController();
      const late = sleep(DRAIN_MS, "late" as const, { signal: timer.signal }).catch(() => "done" as const);
      const first = await Promise.race([chain.then(() => "done" as const), late]);
      timer.abort();
      if (first === "late") {
        draining.abort();
        await say(io, `The rest of its output is not available now; see: ${io.command} logs ${nameOf(job)}`);
      }
      if (broken instanceof Failure)
        await say(io, `Its output could not be read to the end: ${broken.detail ?? broken.message}`);
      else if (broken !== undefined) throw broken;
    },
  };
};

/** The last words, and the exit status. */
const conclude = async (io: Io, client: Client, job: JobView): Promise<number> => {
  const { colors } = io.err;
  if (!isTerminalJob(job) && job.tasks.failed > 0) {
    await say(io, `${job.name} is not up, and what has failed is not tried again: ${countsText(job)}`);
    await blame(io, client, job);
    return Exit.failed;
  }
  if (!isTerminalJob(job)) {
    const where =
      job.spec.kind === "daemon" && job.tasks.running === 0
        ? " no host is one for it yet"
        : ` ${job.tasks.running} running`;
    await say(io, `${job.name} is up:${where}. Its output: ${io.command} logs -f ${nameOf(job)}`);
    return Exit.ok;
  }
  if (job.state === "succeeded") {
    await say(io, colors.dim(endLine(job)));
    if (job.spec.outputs.length > 0) await say(io, `Its files: ${io.command} outputs ${nameOf(job)} --to DIR`);
    return job.exitCode ?? Exit.ok;
  }
  await say(io, endLine(job));
  await blame(io, client, job);
  return job.exitCode ?? Exit.failed;
};

/** The first few tasks that did not succeed, each with its last end. */
const blame = async (io: Io, client: Client, job: JobView): Promise<void> => {
  const { items } = await listAllocations(client, { project: job.project, job: job.name }, { bridge: true });
  const latest = new Map<number, AllocationView>();
  for (const one of items) {
    const before = latest.get(one.index);
    if (one.jobVersion === job.version && (before === undefined || one.attempt > before.attempt))
      latest.set(one.index, one);
  }
  const bad = [...latest.values()]
    .filter((one) => one.exit !== null && one.exit.code !== 0)
    .toSorted((a, b) => a.index - b.index);
  for (const one of bad.slice(0, MAX_BLAMED)) await say(io, `  ${endOfAttempt(one)}`);
  if (bad.length > MAX_BLAMED)
    await say(io, `  … and ${bad.length - MAX_BLAMED} more: ${io.command} ps ${nameOf(job)} --all`);
  const first = bad[0];
  if (first === undefined) return;
  const task = job.spec.count === 1 ? nameOf(job) : `'${nameOf(job)}[${first.index}]'`;
  await say(io, `try: ${io.command} ${first.exit?.cause === "start_failed" ? "why" : "logs"} ${task}`);
};

/** `thumbs[3] exited with 7 on host-1`, `… was killed: out of memory`, `… could not be started: detail`. */
export const endOfAttempt = (one: AllocationView): string => {
  const name = taskName(one.job, one.index);
  const { exit } = one;
  if (exit === null) return `${name} is ${one.state} on ${one.hostId}`;
  const detail = exit.detail === null ? "" : `: ${plainLine(exit.detail)}`;
  switch (exit.cause) {
    case "exited":
      return `${name} exited with ${exit.code} on ${one.hostId}${detail}`;
    case "signalled":
      return `${name} was ended by signal ${exit.signal ?? exit.code - 128} on ${one.hostId}${detail}`;
    case "oom":
      return `${name} was killed on ${one.hostId}: out of memory, its limit is resources.memory.limit${detail}`;
    case "stopped":
      return `${name} was stopped on ${one.hostId}${detail}`;
    case "timeout":
      return `${name} ran longer than timeouts.run and was stopped on ${one.hostId}${detail}`;
    case "start_failed":
      return `${name} could not be started on ${one.hostId}${detail}`;
    case "supervisor_lost":
      return `${name} lost its supervisor on ${one.hostId}; how it ended is not known${detail}`;
    case "host_rebooted":
      return `${name} ended when ${one.hostId} was restarted${detail}`;
    case "host_lost":
      return `${name} was on ${one.hostId}, which fell silent${detail}`;
  }
};
