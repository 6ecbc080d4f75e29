/** `berth diff TASK`: what a task has added (A), changed (C) and deleted (D) of its image. */
import { formatBytes, type Change } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { changesOf } from "../client/queries.ts";
import { Exit } from "../failure.ts";
import { printListing } from "../output/format.ts";
import { plainLine } from "../output/style.ts";
import { allocationToRead } from "./session-verb.ts";
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

interface DiffOptions extends ConnectionOptions, FormatOptions, ProjectOptions {}

const LETTERS: Readonly<Record<Change["change"], string>> = { added: "A", changed: "C", deleted: "D" };

export const registerDiff: Register = (program, { io, finish }) => {
  const command = program
    .command("diff")
    .description("list what a task has changed of its image")
    .argument("<task>", "job for its first task, 'job[3]', project/job, or an allocation's id")
    .action(async (task: string, options: DiffOptions) => {
      const client = clientOf(io, options);
      const { id } = await allocationToRead(client, task, options.project);
      const changes = await changesOf(client, id);
      if (options.output === "table" && changes.length > 0) {
        // Lines for people and for grep: no header, nothing cut.
        await io.out.write(changes.map((one) => `${LETTERS[one.change]} ${plainLine(one.path)}\n`).join(""));
      } else {
        await printListing(io, options.output, {
          document: { items: changes },
          rows: changes,
          columns: [
            { title: "CHANGE", value: (one) => one.change },
            { title: "TYPE", value: (one) => one.type ?? "" },
            { title: "SIZE", value: (one) => (one.type === "file" ? formatBytes(one.sizeBytes) : ""), align: "right" },
            { title: "PATH", value: (one) => one.path },
          ],
          name: (one) => one.path,
          empty: `${task} has changed nothing of its image`,
        });
      }
      finish(Exit.ok);
    });
  withExamples(withProject(withConnection(withFormat(command))), [
    ["berth diff web", "one line for each path"],
    ["berth diff 'web[2]' -o wide", "with types and sizes"],
  ]);
};
