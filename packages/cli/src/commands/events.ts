/** `berth events`: what has happened in the cluster, and with --follow what happens. */
import { Option } from "commander";
import { MAX_EVENT_TAIL, taskName, type Event } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { readEvents } from "../client/events.ts";
import { jobRef } from "../client/queries.ts";
import { Exit } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { plainLine } from "../output/style.ts";
import { clientOf, wholeNumber, withConnection, withExamples, type Register } from "./verb.ts";

interface EventsOptions extends ConnectionOptions {
  readonly follow?: boolean;
  readonly since?: number;
  readonly tail?: number;
  readonly json?: boolean;
  readonly project?: string;
  readonly job?: string;
  readonly host?: string;
}

const DEFAULT_TAIL = 50;
const SUBJECT_WIDTH = 24;
const KIND_WIDTH = 19;

export const registerEvents: Register = (program, { io, finish }) => {
  const command = program
    .command("events")
    .description("print what has happened in the cluster")
    .option("-f, --follow", "keep printing what comes")
    .addOption(
      new Option("--since <sequence>", "everything after this sequence, as far back as the log goes")
        .argParser(wholeNumber(0, Number.MAX_SAFE_INTEGER))
        .conflicts("tail"),
    )
    .addOption(
      new Option("--tail <n>", `about so many of the newest (default ${DEFAULT_TAIL})`).argParser(
        wholeNumber(0, MAX_EVENT_TAIL),
      ),
    )
    .option("--json", "one JSON object a line")
    .option("-p, --project <name>", "only of this project")
    .option("--job <job>", "only of this job, or project/job")
    .option("--host <name>", "only of this host")
    .action(async (options: EventsOptions) => {
      finish(await events(io, options));
    });
  withExamples(withConnection(command), [
    ["berth events -f", "the newest, and then what comes"],
    ["berth events --since 4711 --json", "everything after that sequence, for programs"],
  ]);
};

const subjectOf = ({ project, job, index, host }: Event): string => {
  if (project === null || job === null) return host ?? "cluster";
  return `${project}/${index === null ? job : taskName(job, index)}`;
};

const lineOf = (io: Io, event: Event): string => {
  const at = new Date(event.atMs).toISOString().replace(/\.\d+Z$/, "Z");
  const by = event.origin === null ? "" : ` (by ${event.origin.who})`;
  const { dim } = io.out.colors;
  const subject = subjectOf(event).padEnd(SUBJECT_WIDTH);
  return `${dim(`${at} ${String(event.sequence).padStart(6)}`)}  ${subject} ${event.kind.padEnd(KIND_WIDTH)} ${plainLine(event.message + by)}\n`;
};

const events = async (io: Io, options: EventsOptions): Promise<number> => {
  const ref = options.job === undefined ? undefined : jobRef(options.job, options.project ?? "default");
  const query = {
    since: options.since,
    tail: options.since === undefined ? (options.tail ?? DEFAULT_TAIL) : undefined,
    follow: options.follow === true,
    project: ref?.project ?? options.project,
    job: ref?.job,
    host: options.host,
  };
  const onOutage = (failure: Error & { readonly detail: string | undefined }): void =>
    void say(io, `${failure.detail ?? failure.message}; trying again`);
  try {
    for await (const event of readEvents(clientOf(io, options), query, { signal: io.stop, onOutage })) {
      await io.out.write(options.json === true ? `${JSON.stringify(event)}\n` : lineOf(io, event));
    }
  } catch (error) {
    if (io.stop.aborted) return Exit.interrupted;
    throw error;
  }
  return Exit.ok;
};
