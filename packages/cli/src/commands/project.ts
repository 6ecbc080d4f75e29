/** `berth project ACTION`: what projects may hold at a time, what they hold, and how they are weighed against each other. */
import { InvalidArgumentError, Option, type Command } from "commander";
import {
  amountIn,
  decoder,
  formatByUnit,
  formatCpu,
  MAX_WEIGHT,
  ProjectRemovedSchema,
  ProjectViewSchema,
  routePath,
  Routes,
  type ProjectView,
} from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { listProjects } from "../client/queries.ts";
import { Exit, Failure } from "../failure.ts";
import { say } from "../io.ts";
import { printDocument, printListing } from "../output/format.ts";
import type { Column } from "../output/table.ts";
import {
  clientOf,
  wholeNumber,
  withConnection,
  withExamples,
  withFormat,
  type FormatOptions,
  type Host,
  type Register,
} from "./verb.ts";

const decodeView = decoder(ProjectViewSchema);
const decodeRemoved = decoder(ProjectRemovedSchema);

export const registerProject: Register = (program, host) => {
  const project = program
    .command("project")
    .description("quotas of projects: how much their tasks may hold at a time, and what they hold")
    .usage("ACTION [options]");
  withExamples(project, [
    ["berth project create media --quota cpu=16,memory=64Gi,tasks=200", "no more than that at a time"],
    ["berth project ls", "who holds how much of what"],
  ]);
  registerCreate(project, host);
  registerLs(project, host);
  registerShow(project, host);
  registerSet(project, host);
  registerRm(project, host);
};

type Amounts = Readonly<Record<string, unknown>>;
const FIXED = ["tasks", "cpu", "memory", "pids", "disk"];
const WAYS: Readonly<Record<string, string>> = { "network.ingress": "ingress", "network.egress": "egress" };
const WHOLE = ["tasks", "pids"];

/** `cpu=16,memory=64Gi,gpu=2`; `none` for no limit. Sizes, rates and CPUs are read by the API, which knows how. */
const collectQuota = (text: string, before: Amounts = {}): Amounts => {
  const quota: Record<string, unknown> = { ...before };
  const more: Record<string, unknown> = { ...(before["more"] as Amounts | undefined) };
  const network: Record<string, unknown> = { ...(before["network"] as Amounts | undefined) };
  for (const part of text.split(",")) {
    const match = /^([A-Za-z][A-Za-z0-9._-]*)=([A-Za-z0-9.]+)$/.exec(part.trim());
    const [, name = "", value = ""] = match ?? [];
    const isFixed = FIXED.includes(name);
    const way = Object.hasOwn(WAYS, name) ? WAYS[name] : undefined;
    const isNumber = way === undefined && (!isFixed || WHOLE.includes(name));
    if (match === null || (isNumber && value !== "none" && !/^\d{1,15}$/.test(value)))
      throw new InvalidArgumentError("write it like cpu=16,memory=64Gi,tasks=200,gpu=2; none takes a limit away");
    const amount = value === "none" ? null : isNumber ? Number(value) : value;
    if (isFixed) quota[name] = amount;
    else if (way === undefined) more[name] = amount;
    else network[way] = amount;
  }
  return {
    ...quota,
    ...(Object.keys(network).length > 0 && { network }),
    ...(Object.keys(more).length > 0 && { more }),
  };
};

const withFields = (command: Command): Command =>
  command
    .addOption(
      new Option(
        "--quota <amounts>",
        "tasks, cpu, memory, pids, disk, network.egress or what else hosts have, at a time: cpu=16,tasks=200",
      ).argParser(collectQuota),
    )
    .addOption(
      new Option("--weight <number>", "its share against others, when room is short; default: 100").argParser(
        wholeNumber(1, MAX_WEIGHT),
      ),
    )
    .option("--unconfined-seccomp", "its jobs may do without the filter of system calls, on hosts that permit it")
    .option("--no-unconfined-seccomp", "they may not; default")
    .addOption(new Option("--description <text>", "what it is for"));

interface Fields {
  readonly quota?: Amounts;
  readonly weight?: number;
  readonly unconfinedSeccomp?: boolean;
  readonly description?: string;
}
type Options = ConnectionOptions & FormatOptions;

const fieldsOf = ({ quota, weight, unconfinedSeccomp, description }: Fields): Fields => ({
  ...(quota !== undefined && { quota }),
  ...(weight !== undefined && { weight }),
  ...(unconfinedSeccomp !== undefined && { unconfinedSeccomp }),
  ...(description !== undefined && { description }),
});

const amountText = (dimension: string, amount: number): string => {
  if (dimension === "cpuMillis") return formatCpu(amount);
  return formatByUnit(dimension, amount) ?? String(amount);
};

/** `3/16`: what it holds, and what it may. */
const ofQuota = ({ quota, used }: ProjectView, dimension: "tasks" | "cpuMillis" | "memoryBytes" | "pids"): string => {
  const limit = quota[dimension];
  const held = amountText(dimension, used[dimension]);
  return limit === undefined ? held : `${held}/${amountText(dimension, limit)}`;
};

const isFull = ({ quota, used }: ProjectView, dimension: "tasks" | "cpuMillis" | "memoryBytes"): boolean =>
  (quota[dimension] ?? Number.POSITIVE_INFINITY) <= used[dimension];

const columns: readonly Column<ProjectView>[] = [
  { title: "PROJECT", value: (one) => one.name },
  {
    title: "TASKS",
    value: (one) => ofQuota(one, "tasks"),
    align: "right",
    tone: (one) => (isFull(one, "tasks") ? "busy" : undefined),
  },
  {
    title: "CPU",
    value: (one) => ofQuota(one, "cpuMillis"),
    align: "right",
    tone: (one) => (isFull(one, "cpuMillis") ? "busy" : undefined),
  },
  {
    title: "MEMORY",
    value: (one) => ofQuota(one, "memoryBytes"),
    align: "right",
    tone: (one) => (isFull(one, "memoryBytes") ? "busy" : undefined),
  },
  { title: "WAITING", value: (one) => String(one.pendingTasks), align: "right" },
  { title: "JOBS", value: (one) => String(one.activeJobs), align: "right" },
  { title: "WEIGHT", value: (one) => String(one.weight), align: "right" },
];

const moreText = ({ quota, used }: ProjectView): string => {
  const names = new Set([...Object.keys(quota.more ?? {}), ...Object.keys(used.more ?? {})]);
  const parts = [...names].map((name) => {
    const limit = Object.hasOwn(quota.more ?? {}, name) ? quota.more?.[name] : undefined;
    const held = amountText(name, amountIn(used.more, name));
    return `${name} ${limit === undefined ? held : `${held}/${amountText(name, limit)}`}`;
  });
  return parts.length === 0 ? "-" : parts.join(", ");
};

const wide: readonly Column<ProjectView>[] = [
  { title: "PIDS", value: (one) => ofQuota(one, "pids"), align: "right" },
  { title: "FURTHER", value: moreText },
  { title: "DECLARED BY", value: (one) => one.createdBy ?? "-" },
  { title: "DESCRIPTION", value: (one) => one.description, shrinkTo: 16 },
];

const textOf = (one: ProjectView): string => {
  const lines = [
    [`tasks`, ofQuota(one, "tasks")],
    [`cpu`, ofQuota(one, "cpuMillis")],
    [`memory`, ofQuota(one, "memoryBytes")],
    [`pids`, ofQuota(one, "pids")],
    [`further`, moreText(one)],
    [`weight`, String(one.weight)],
    ...(one.unconfinedSeccomp === true ? [[`seccomp`, "its jobs may do without the filter of system calls"]] : []),
    [`waiting`, `${one.pendingTasks} tasks, of ${one.activeJobs} jobs that have not finished`],
    [`share`, `${(one.share * 100).toFixed(1)} % of the cluster now, ${(one.recentShare * 100).toFixed(1)} % lately`],
    [`declared`, one.createdBy === null ? "by nobody: no quota" : `by ${one.createdBy}`],
  ] as const;
  const title = one.description === "" ? one.name : `${one.name}: ${one.description}`;
  return `${[title, ...lines.map(([name, value]) => `  ${name.padEnd(9)} ${value}`)].join("\n")}\n`;
};

const print = async ({ io, finish }: Host, options: Options, value: ProjectView): Promise<void> => {
  await printDocument(io, options.output, { document: value, name: value.name, text: () => textOf(value) });
  finish(Exit.ok);
};

const registerCreate = (project: Command, host: Host): void => {
  const command = project
    .command("create")
    .argument("<project>")
    .description("declare a project, with a quota or a weight")
    .action(async (name: string, options: Options & Fields) => {
      const body = { name, ...fieldsOf(options) };
      const { value } = await clientOf(host.io, options).post(decodeView, Routes.projects, body);
      await print(host, options, value);
    });
  withExamples(withConnection(withFormat(withFields(command))), [
    ["berth project create media --quota cpu=16,memory=64Gi", "what its tasks request together, at a time"],
    ["berth project create lab --quota tasks=50,gpu=2 --weight 50", "half of the usual share, when room is short"],
  ]);
};

const registerSet = (project: Command, host: Host): void => {
  const command = project
    .command("set")
    .argument("<project>")
    .description("give a project another quota, weight or description; what runs goes on")
    .action(async (name: string, options: Options & Fields) => {
      const body = fieldsOf(options);
      if (Object.keys(body).length === 0) {
        const next = [`${host.io.command} project set ${name} --quota cpu=32`];
        throw new Failure("What shall be changed?", { exit: Exit.usage, next });
      }
      const path = routePath(Routes.projectSet, { project: name });
      const { value } = await clientOf(host.io, options).post(decodeView, path, body);
      await print(host, options, value);
    });
  withExamples(withConnection(withFormat(withFields(command))), [
    ["berth project set media --quota cpu=32", "the rest of its quota stays as it is"],
    ["berth project set media --quota memory=none --weight 200", "memory is limited no longer"],
  ]);
};

const registerLs = (project: Command, { io, finish }: Host): void => {
  const command = project
    .command("ls")
    .description("list projects: what they hold, of what they may")
    .action(async (options: Options) => {
      const document = await listProjects(clientOf(io, options));
      await printListing(io, options.output, {
        ...{ document, rows: document.items, columns, wide },
        name: (one) => one.name,
        empty: `There is no project yet: the first job makes one, or ${io.command} project create NAME`,
      });
      finish(Exit.ok);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth project ls", "also those that nobody declared"],
    ["berth project ls -o wide", "with further dimensions"],
  ]);
};

const registerShow = (project: Command, host: Host): void => {
  const command = project
    .command("show")
    .argument("<project>")
    .description("what one project holds, of what it may")
    .action(async (name: string, options: Options) => {
      const { value } = await clientOf(host.io, options).get(decodeView, routePath(Routes.project, { project: name }));
      await print(host, options, value);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth project show media", "its quota, and what is left of it"],
    ["berth project show media -o json", "for a program"],
  ]);
};

const registerRm = (project: Command, { io, finish }: Host): void => {
  const command = project
    .command("rm")
    .argument("<project>")
    .description("remove the record of a project that has no jobs and volumes left")
    .action(async (name: string, options: ConnectionOptions) => {
      await clientOf(io, options).post(decodeRemoved, routePath(Routes.projectRemove, { project: name }), {});
      await say(io, `${name} is declared no longer`);
      finish(Exit.ok);
    });
  withExamples(withConnection(command), [
    ["berth project rm media", "when its jobs are stopped and its volumes removed"],
    ["berth project set media --quota tasks=0", "instead: nothing new starts, what runs goes on"],
  ]);
};
