/**
 * `berth outputs JOB`: the files that tasks handed in. `--to DIR` merges them by path into one directory; two tasks that
 * wrote the same path are an error that names both, and nothing is fetched then: whose file wins is not ours to guess.
 */
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { formatBytes, problem, routePath, Routes, taskName, type AllocationView } from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { getJob, jobRef, listAllocations, outputsOf } from "../client/queries.ts";
import { Exit, Failure, failureOf } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { printListing } from "../output/format.ts";
import { createLive } from "../output/live.ts";
import { latestAttempts } from "./job.ts";
import {
  clientOf,
  withConnection,
  withExamples,
  withFormat,
  withProject,
  type FormatOptions,
  type ProjectOptions,
  type Register,
} from "./verb.ts";

/** Asked for at once: enough to hide the way to the host, too few to burden it. */
const PARALLEL = 4;
const MAX_CONFLICTS = 5;

export interface OutputFile {
  readonly task: string;
  readonly index: number;
  readonly allocation: string;
  readonly path: string;
  readonly sizeBytes: number;
}

interface OutputsOptions extends ConnectionOptions, FormatOptions, ProjectOptions {
  readonly to?: string;
  readonly byTask?: boolean;
}

export const registerOutputs: Register = (program, { io, finish }) => {
  const command = program
    .command("outputs")
    .description("list or fetch the files that a job's tasks have handed in")
    .argument("<job>", "job or project/job")
    .option("--to <dir>", "fetch them into this directory")
    .option("--by-task", "with --to: a directory for each task, named by its index")
    .action(async (text: string, options: OutputsOptions) => {
      const client = clientOf(io, options);
      const ref = jobRef(text, options.project);
      const { value: job } = await getJob(client, ref);
      const { items } = await listAllocations(client, { project: ref.project, job: ref.job });
      const done = latestAttempts(items.filter((one) => one.jobVersion === job.version)).filter(
        (one) => one.exit?.code === 0,
      );
      const files = (await inParallel(done, (one) => filesOf(client, one))).flat();
      if (options.to !== undefined) await fetchAll(io, client, files, resolve(options.to), options.byTask === true);
      if (options.to === undefined || options.output !== "table") {
        await printListing(io, options.output, {
          document: { items: files },
          rows: files,
          columns: [
            { title: "TASK", value: (file) => file.task, shrinkTo: 14 },
            { title: "SIZE", value: (file) => formatBytes(file.sizeBytes), align: "right" },
            { title: "PATH", value: (file) => file.path, shrinkTo: 20 },
          ],
          wide: [{ title: "ALLOCATION", value: (file) => file.allocation }],
          name: (file) => file.path,
          empty:
            job.spec.outputs.length === 0
              ? `${ref.job} hands in no files: its document has no "outputs"`
              : `${ref.job} has handed in no files yet: they are collected when a task succeeds`,
        });
      }
      finish(Exit.ok);
    });
  withExamples(withProject(withConnection(withFormat(command))), [
    ["berth outputs checksums", "which files there are"],
    ["berth outputs checksums --to results", "fetch them all into ./results"],
  ]);
};

const filesOf = async (client: Client, one: AllocationView): Promise<OutputFile[]> => {
  const files = await outputsOf(client, one.id, { bridge: true });
  return files.map((file) => ({
    task: taskName(one.job, one.index),
    index: one.index,
    allocation: one.id,
    path: file.path,
    sizeBytes: file.sizeBytes,
  }));
};

/** A path from elsewhere stays below the directory that the user named. */
export const isSafePath = (path: string): boolean =>
  path !== "" &&
  !path.startsWith("/") &&
  !path.includes("\0") &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== "..");

/** Paths that two tasks wrote, each with the tasks. Also a file of one where another has a directory. */
export const conflictsOf = (
  files: readonly OutputFile[],
): { readonly path: string; readonly tasks: readonly string[] }[] => {
  const owners = new Map<string, string[]>();
  for (const file of files) owners.set(file.path, [...(owners.get(file.path) ?? []), file.task]);
  const conflicts = new Map([...owners].filter(([, tasks]) => tasks.length > 1));
  for (const file of files) {
    for (let at = file.path.indexOf("/"); at !== -1; at = file.path.indexOf("/", at + 1)) {
      const parent = file.path.slice(0, at);
      const others = owners.get(parent);
      if (others !== undefined && !conflicts.has(parent)) conflicts.set(parent, [...others, file.task]);
    }
  }
  return [...conflicts].map(([path, tasks]) => ({ path, tasks: [...new Set(tasks)] }));
};

const fetchAll = async (
  io: Io,
  client: Client,
  files: readonly OutputFile[],
  to: string,
  byTask: boolean,
): Promise<void> => {
  const unsafe = files.find((file) => !isSafePath(file.path));
  if (unsafe !== undefined) {
    throw failureOf(problem("internal", `${unsafe.task} handed in a file with an impossible path`));
  }
  const conflicts = byTask ? [] : conflictsOf(files);
  if (conflicts.length > 0) {
    const shown = conflicts
      .slice(0, MAX_CONFLICTS)
      .map(({ path, tasks }) => `${path}: ${tasks.slice(0, 4).join(", ")}`);
    const more = conflicts.length > MAX_CONFLICTS ? [`… and ${conflicts.length - MAX_CONFLICTS} more`] : [];
    throw new Failure("Several tasks have written the same path; nothing was fetched", {
      exit: Exit.failed,
      detail: [...shown, ...more].join("\n"),
      next: ["berth outputs JOB --to DIR --by-task     (a directory for each task)"],
    });
  }
  const live = createLive(io.err);
  let count = 0;
  await inParallel(files, async (file) => {
    const target = join(to, byTask ? String(file.index) : "", file.path);
    await fetchOne(io, client, file, target);
    count += 1;
    if (io.err.isTty) await live.show(`${count} of ${files.length} files`);
  });
  await live.clear();
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  await say(io, `${files.length} ${files.length === 1 ? "file" : "files"}, ${formatBytes(bytes)}, in ${to}`);
};

/** Whole or not at all: the file appears under its name once it is complete. */
const fetchOne = async (io: Io, client: Client, file: OutputFile, target: string): Promise<void> => {
  const path = routePath(Routes.allocationOutput, { allocation: file.allocation, "*": file.path });
  const part = `${target}.part-${process.pid}`;
  try {
    await mkdir(dirname(target), { recursive: true });
    const body = await client.stream(path, { signal: io.stop, bridge: true });
    const sink = createWriteStream(part, { flags: "w", mode: 0o644 });
    await pipeline(body, sink);
    if (sink.bytesWritten !== file.sizeBytes) {
      throw failureOf(
        problem(
          "agent.unreachable",
          `${file.path} of ${file.task} came incomplete: ${sink.bytesWritten} of ${file.sizeBytes} bytes`,
        ),
      );
    }
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    if (error instanceof Failure || io.stop.aborted) throw error;
    throw new Failure(`Cannot fetch ${file.path} of ${file.task}`, {
      exit: Exit.failed,
      detail: error instanceof Error ? error.message : String(error),
      next: ["the same command again: what is complete is kept"],
      cause: error,
    });
  }
};

/** At most PARALLEL at once, results in the order of the input. The first failure stops the rest. */
const inParallel = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const at = next;
      next += 1;
      try {
        results[at] = await work(items[at] as T);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, lane));
  return results;
};
