/** `berth why TASK`: why a task is where it is, or why it is nowhere. */
import { decoder, routePath, Routes, taskName, WhyNotSchema, WhySchema } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { attemptsOf, taskRef } from "../client/queries.ts";
import { printDocument } from "../output/format.ts";
import { evidence, score } from "../output/outcome.ts";
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
      if (options.not !== undefined) {
        const where = { project: ref.project, job: ref.job, index: ref.index, host: options.not };
        const { value: answer } = await client.get(decodeWhyNot, routePath(Routes.taskWhyNot, where));
        const scores = [
          ...(answer.score === null ? [] : [`  ${answer.host}: ${score(answer.score)}`]),
          ...(answer.chosen === null ? [] : [`  ${answer.chosen.hostId}: ${score(answer.chosen.score)}`]),
        ];
        await printDocument(io, options.output, {
          document: answer,
          name: answer.host,
          text: () => `${[plainLine(answer.sentence), ...scores].join("\n")}\n`,
        });
        finish(0);
        return;
      }
      const path = routePath(Routes.taskWhy, { project: ref.project, job: ref.job, index: ref.index });
      const { value: why } = await client.get(decodeWhy, path);
      const people = options.output === "table" || options.output === "wide";
      const ended = people ? (await attemptsOf(client, ref)).filter((one) => one.exit !== null) : [];
      const lines = [
        plainLine(why.sentence),
        ...evidence(why.outcome).map((line) => `  ${plainLine(line)}`),
        ...ended
          .slice(0, MAX_ENDS)
          .map((one) => `  attempt ${one.attempt} of version ${one.jobVersion}: ${endOfAttempt(one)}`),
      ];
      await printDocument(io, options.output, {
        document: why,
        name: `${why.project}/${taskName(why.job, why.index)}`,
        text: () => `${lines.join("\n")}\n`,
      });
      finish(0);
    });
  withExamples(withProject(withConnection(withFormat(command))), [
    ["berth why 'thumbs[17]'", "which host took it, or what every host lacks"],
    ["berth why hello -o json", "the decision with all scores"],
    ["berth why hello --not h2", "what h2 lacks, or how it scores beside the chosen host"],
  ]);
};
