/**
 * `berth what-if`: what would happen if hosts were lost, emptied or added, or if there were more to run. Without a change:
 * which host could be lost now. Changes nothing. Exit status 2 when something would be left without a place.
 */
import { InvalidArgumentError } from "commander";
import {
  decoder,
  HostLossesSchema,
  isLabel,
  Routes,
  taskName,
  WhatIfViewSchema,
  type HostLosses,
  type WhatIfView,
} from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { jobRef } from "../client/queries.ts";
import { Exit } from "../failure.ts";
import { printDocument } from "../output/format.ts";
import { evidence } from "../output/outcome.ts";
import { plainLine, type Colors } from "../output/style.ts";
import { renderTable } from "../output/table.ts";
import { plural } from "./up.ts";
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

const decodeView = decoder(WhatIfViewSchema);
const decodeLosses = decoder(HostLossesSchema);
/** More rows than a screen has say less than their number. */
const MAX_ROWS = 20;

interface Counted {
  readonly name: string;
  readonly count: number;
}

interface Options extends ConnectionOptions, FormatOptions, ProjectOptions {
  readonly lose: readonly string[];
  readonly drain: readonly string[];
  readonly add: readonly Counted[];
  readonly more: readonly Counted[];
}

const host = (text: string, before: readonly string[] = []): readonly string[] => {
  if (!isLabel(text)) throw new InvalidArgumentError("it is not a host id; see berth hosts");
  return [...before, text];
};

/** `NAME=COUNT`, or `NAME` for one. */
const counted = (text: string, before: readonly Counted[] = []): readonly Counted[] => {
  const [, name, digits = "1"] = /^([^=]+)(?:=([1-9][0-9]{0,5}))?$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("it is NAME=COUNT, with a whole number from 1 on");
  return [...before, { name, count: Number(digits) }];
};

export const registerWhatIf: Register = (program, { io, finish }) => {
  const command = program
    .command("what-if")
    .description("show what would happen without some hosts, or with more")
    .option("--lose <host>", "a host that is gone at once; repeatable", host, [])
    .option("--drain <host>", "a host that is emptied; repeatable", host, [])
    .option("--add <host=count>", "new hosts like this one; repeatable", counted, [])
    .option("--more <job=count>", "more tasks of this job; repeatable", counted, [])
    .action(async ({ lose, drain, add, more, ...options }: Options) => {
      const client = clientOf(io, options);
      if (lose.length + drain.length + add.length + more.length === 0) {
        const { value } = await client.get(decodeLosses, Routes.hostLosses);
        await printDocument(io, options.output, {
          document: value,
          name: value.hosts
            .filter(({ stranded }) => stranded === 0)
            .map((one) => one.host)
            .join("\n"),
          text: (width) => lossesText(value, { width, colors: io.out.colors }),
        });
        finish(Exit.ok);
        return;
      }
      const like = add.map(({ name, count }) => ({ like: name, count }));
      const tasks = more.map(({ name, count }) => ({ ...jobRef(name, options.project), count }));
      const body = { lose, drain, add: like, more: tasks };
      const { value } = await client.post(decodeView, Routes.whatIf, body);
      await printDocument(io, options.output, {
        document: value,
        name: value.blocked.map((task) => `${task.project}/${task.job}`).join("\n"),
        text: (width) => viewText(value, { width, colors: io.out.colors }),
      });
      finish(value.totals.blocked > 0 ? Exit.blocked : Exit.ok);
    });
  withExamples(withProject(withConnection(withFormat(command))), [
    ["berth what-if", "which host could be lost now"],
    ["berth what-if --lose h2", "what would move where, and what would not fit"],
    ["berth what-if --add h1=3 --more default/web=200", "three more hosts like h1, 200 more tasks of web"],
  ]);
};

interface TextOptions {
  readonly width: number | undefined;
  readonly colors: Colors;
}

const lossesText = ({ hosts }: HostLosses, options: TextOptions): string => {
  if (hosts.length === 0) return "there is no host to lose\n";
  const table = renderTable(
    [
      { title: "HOST", value: (one) => one.host },
      { title: "TASKS", value: (one) => `${one.tasks}` },
      {
        title: "IF IT WERE LOST",
        value: (one) => (one.stranded === 0 ? "all would fit elsewhere" : `${one.stranded} would not fit elsewhere`),
        tone: (one) => (one.stranded === 0 ? "good" : "bad"),
      },
    ],
    hosts,
    options,
  );
  const first = hosts.find(({ sentence }) => sentence !== null)?.sentence;
  return first === null || first === undefined ? table : `${table}${plainLine(first)}\n`;
};

const nameOf = (task: WhatIfView["placed"][number] | WhatIfView["blocked"][number]): string =>
  `${task.project}/${task.index === null ? `${task.job} (more)` : taskName(task.job, task.index)}`;

const viewText = (view: WhatIfView, options: TextOptions): string => {
  const { placed, blocked, totals, hosts } = view;
  const lines = [
    `${plural(totals.placed, "task")} would get a place, ${totals.blocked} would not` +
      `${totals.finish === 0 ? "" : `, ${totals.finish} would finish where they are`}; ` +
      `${plural(hosts.open, "host")} would take work, ${hosts.empty} of them empty`,
  ];
  if (placed.length > 0) {
    const table = renderTable(
      [
        { title: "TASK", value: nameOf, shrinkTo: 16 },
        { title: "FROM", value: (task) => task.from ?? "-" },
        { title: "TO", value: (task) => task.to },
      ],
      placed.slice(0, MAX_ROWS),
      options,
    );
    lines.push(table.trimEnd());
  }
  if (totals.placed > MAX_ROWS) lines.push(`and ${totals.placed - MAX_ROWS} more; -o json lists up to 1,000`);
  // The first of each request says what stands against it, the others that they fit nowhere either.
  for (const task of blocked.filter(({ outcome }) => outcome.kind === "blocked" && outcome.hosts.length > 0)) {
    lines.push(plainLine(task.sentence), ...evidence(task.outcome).map((line) => `  ${plainLine(line)}`));
  }
  return `${lines.join("\n")}\n`;
};
