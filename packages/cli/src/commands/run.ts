/**
 * `berth run FILE`: submits a job document. With --wait (the default) it stays until a batch job has ended and exits with
 * the container's own status, or until a service is up. Ctrl-C leaves the job running and says so.
 */
import { Option } from "commander";
import { decoder, parseDurationMs, parseJobDocument, Routes, SubmittedSchema, type Submitted } from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { loadDocument, type LoadedDocument } from "../document/load.ts";
import { locateIn } from "../document/locate.ts";
import { Exit, Failure, failureOf } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { printDocument } from "../output/format.ts";
import { waitForJob } from "./run-wait.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

const decodeSubmitted = decoder(SubmittedSchema);

interface RunOptions extends ConnectionOptions, FormatOptions {
  readonly wait?: boolean;
  readonly detach?: boolean;
  readonly timeout?: string;
  readonly quiet?: boolean;
}

export const registerRun: Register = (program, { io, finish }) => {
  const command = program
    .command("run")
    .description("run a job: a batch job to its end, a service until it is up")
    .argument("<file>", "job document (YAML or JSON), - for standard input")
    .option("--wait", "stay until it has ended, exit with its exit code (default)")
    .addOption(new Option("-d, --detach", "return as soon as it is accepted").conflicts("wait"))
    .addOption(
      new Option("--timeout <duration>", "stop waiting after this long, like 10m; the job runs on").conflicts("detach"),
    )
    .option("-q, --quiet", "no progress, of the job or of its image")
    .action(async (file: string, options: RunOptions) => {
      finish(await run(io, file, options));
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth run examples/hello.yaml", "run it, show its output, exit with its exit code"],
    ["berth run -d examples/service.yaml", "start it and return"],
  ]);
};

const run = async (io: Io, file: string, options: RunOptions): Promise<number> => {
  const timeoutMs = options.timeout === undefined ? undefined : parseTimeout(options.timeout);
  const client = clientOf(io, options);
  const document = await checkedDocument(io, file);
  const submitted = await submit(client, document);
  const wantsDocument = options.output !== "table" && options.output !== "wide";
  const { quiet = false } = options;
  if (options.detach === true) {
    if (!wantsDocument && !quiet) await say(io, sentenceOf(submitted));
    const { job } = submitted;
    await printDocument(io, options.output, {
      document: submitted,
      name: `${job.project}/${job.name}`,
      text: () => `${job.project}/${job.name}\n`,
    });
    return Exit.ok;
  }
  if (submitted.action !== "create" && !quiet) await say(io, sentenceOf(submitted));
  return waitForJob(io, client, submitted.job, {
    timeoutMs,
    quiet,
    format: wantsDocument ? options.output : undefined,
  });
};

const parseTimeout = (text: string): number => {
  const parsed = parseDurationMs(text);
  if (parsed.ok) return parsed.value;
  throw new Failure(`--timeout: ${parsed.error}`, { exit: Exit.usage, next: ["berth run --help"] });
};

/** Reads a document and checks it here, so that most mistakes are shown in place without asking the cluster. */
export const checkedDocument = async (io: Io, file: string): Promise<LoadedDocument> => {
  const loaded = await loadDocument(io, file);
  const parsed = parseJobDocument(loaded.value);
  if (parsed.ok) return loaded;
  throw locateIn(
    loaded,
    failureOf(parsed.error).with({ next: [`berth plan ${file}     (once it is mended: what it would do)`] }),
  );
};

export const submit = async (client: Client, document: LoadedDocument): Promise<Submitted> => {
  try {
    const answer = await client.post(decodeSubmitted, Routes.jobs, document.value);
    return answer.value;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw error.code === "job.active" ? error.with({ next: nextWhenActive(document) }) : locateIn(document, error);
  }
};

const nextWhenActive = ({ value }: LoadedDocument): string[] => {
  const { project = "default", name = "JOB" } = value as { readonly project?: string; readonly name?: string };
  const ref = project === "default" ? name : `${project}/${name}`;
  return [`berth job ${ref}`, `berth stop ${ref}`];
};

export const sentenceOf = ({ job, action }: Submitted): string => {
  const name = `${job.project}/${job.name}`;
  switch (action) {
    case "create":
      return `${name} accepted`;
    case "replace":
      return `${name} changed: version ${job.version} replaces the one before`;
    case "change_limits":
      return `${name} changed: version ${job.version} has other limits, and what runs goes on under them`;
    case "run_again":
      return `${name} runs again: version ${job.version}`;
    case "unchanged":
      return `${name} is already running like this: nothing to change`;
  }
};
