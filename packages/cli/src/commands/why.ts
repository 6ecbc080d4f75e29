/** `berth why TASK`: why a task is where it is, or why it is nowhere. */
import { decoder, routePath, Routes, taskName, WhyNotSchema, WhySchema } from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { attemptsOf, taskRef, type TaskRef } from "../client/queries.ts";
import type { Io } from "../io.ts";
import { printDocument } from "../output/format.ts";
import { evidence, lackingLines, nowLines, queueLine, score } from "../output/outcome.ts";
import { plainLine } from "../output/style.ts";
import { endOfAttempt } from "./run-wait.ts";
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

const decodeWhy = decoder(WhySchema);
const decodeWhyNot = decoder(WhyNotSchema);
const MAX_ENDS = 5;

interface Options extends ConnectionOptions, FormatOptions, ProjectOptions {
  readonly not?: string;
}

export const registerWhy: Register = (program, { io, finish }) => {
  const command = program
    .command("why")
    .description("explain why a task runs where it does, or why it does not run")
    .argument("<task>", "job for its first task, 'job[3]', or project/job")
    .option("--not <host>", "explain why it is not on this host")
    .action(async (text: string, options: Options) => {
      const client = clientOf(io, options);
      const ref = taskRef(text, options.project);
      await (options.not === undefined ? why(io, client, ref, options) : whyNot(io, client, ref, options.not, options));
      finish(0);
    });
  withExamples(withProject(withConnection(withFormat(command))), [
    ["berth why 'thumbs[17]'", "which host took it, or what every host lacks"],
    ["berth why hello -o json", "the decision with all scores"],
    ["berth why hello --not h2", "what h2 lacks, or how it scores beside the chosen host"],
  ]);
};

const why = async (io: Io, client: Client, ref: TaskRef, { output }: FormatOptions): Promise<void> => {
  const { project, job, index } = ref;
  const { value } = await client.get(decodeWhy, routePath(Routes.taskWhy, { project, job, index }));
  const people = output === "table" || output === "wide";
  const ended = people ? (await attemptsOf(client, ref)).filter((one) => one.exit !== null) : [];
  const lines = [
    plainLine(value.sentence),
    ...evidence(value.outcome).map((line) => `  ${plainLine(line)}`),
    ...nowLines(value.now ?? []).map((line) => `  ${plainLine(line)}`),
    ...lackingLines(value.lacking).map((line) => `  ${plainLine(line)}`),
    ...(value.queue === undefined ? [] : [`  ${plainLine(queueLine(value.queue))}`]),
    ...ended
      .slice(0, MAX_ENDS)
      .map((one) => `  attempt ${one.attempt} of version ${one.jobVersion}: ${endOfAttempt(one)}`),
  ];
  await printDocument(io, output, {
    document: value,
    name: `${value.project}/${taskName(value.job, value.index)}`,
    text: () => `${lines.join("\n")}\n`,
  });
};

const whyNot = async (io: Io, client: Client, ref: TaskRef, host: string, { output }: FormatOptions): Promise<void> => {
  const { project, job, index } = ref;
  const { value } = await client.get(decodeWhyNot, routePath(Routes.taskWhyNot, { project, job, index, host }));
  const scores = [
    ...(value.score === null ? [] : [`  ${value.host}: ${score(value.score)}`]),
    ...(value.chosen === null ? [] : [`  ${value.chosen.hostId}: ${score(value.chosen.score)}`]),
  ];
  await printDocument(io, output, {
    document: value,
    name: value.host,
    text: () => `${[plainLine(value.sentence), ...scores].join("\n")}\n`,
  });
};
