/** `berth pause TASK` and `berth resume TASK`: every process of a running task stands still, and goes on. */
import { AllocationViewSchema, decoder, routePath, Routes, taskName } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { Exit } from "../failure.ts";
import { say } from "../io.ts";
import { printDocument } from "../output/format.ts";
import { allocationToTalkTo } from "./session-verb.ts";
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

interface PauseOptions extends ConnectionOptions, FormatOptions, ProjectOptions {}

interface Verb {
  readonly name: string;
  readonly description: string;
  readonly route: string;
  readonly done: string;
  readonly examples: readonly (readonly [line: string, what: string])[];
}

const decodeAllocation = decoder(AllocationViewSchema);

const verb =
  ({ name, description, route, done, examples }: Verb): Register =>
  (program, { io, finish }) => {
    const command = program
      .command(name)
      .description(description)
      .argument("<task>", "job for its first task, 'job[3]', project/job, or an allocation's id")
      .action(async (task: string, options: PauseOptions) => {
        const client = clientOf(io, options);
        const { id: allocation } = await allocationToTalkTo(client, task, options.project);
        const { value } = await client.post(decodeAllocation, routePath(route, { allocation }), {});
        const shown = `${value.project}/${taskName(value.job, value.index)}`;
        await say(io, `${shown} ${done}`);
        if (options.output !== "table" && options.output !== "wide") {
          await printDocument(io, options.output, { document: value, name: shown, text: () => "" });
        }
        finish(Exit.ok);
      });
    withExamples(withProject(withConnection(withFormat(command))), examples);
  };

export const registerPause = verb({
  name: "pause",
  description: "let every process of a running task stand still",
  route: Routes.allocationPause,
  done: "is paused",
  examples: [
    ["berth pause web", "returns when nothing of it runs any more"],
    ["berth pause 'thumbs[3]'", "one task of many"],
  ],
});

export const registerResume = verb({
  name: "resume",
  description: "let a paused task go on",
  route: Routes.allocationResume,
  done: "goes on",
  examples: [
    ["berth resume web", "where it stood still"],
    ["berth resume 'thumbs[3]'", "one task of many"],
  ],
});
