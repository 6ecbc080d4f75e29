/** `berth job JOB`: one job with its tasks, each by its latest attempt. */
import {
  formatBytes,
  formatCpu,
  formatDuration,
  taskName,
  taskTotal,
  type AllocationView,
  type JobView,
} from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { getJob, jobRef, listAllocations } from "../client/queries.ts";
import { allocationColumns, countsText } from "../output/columns.ts";
import { printDocument } from "../output/format.ts";
import { paint, plainLine, toneOf, type Colors } from "../output/style.ts";
import { renderTable } from "../output/table.ts";
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

const MAX_ROWS = 40;

export const registerJob: Register = (program, { io, finish }) => {
  const command = program
    .command("job")
    .description("show one job and its tasks")
    .argument("<job>", "job or project/job")
    .action(async (text: string, options: ConnectionOptions & FormatOptions & ProjectOptions) => {
      const client = clientOf(io, options);
      const ref = jobRef(text, options.project);
      const { value: job } = await getJob(client, ref);
      const people = options.output === "table" || options.output === "wide";
      const { items } = people ? await listAllocations(client, { project: ref.project, job: ref.job }) : { items: [] };
      await printDocument(io, options.output, {
        document: job,
        name: `${job.project}/${job.name}`,
        text: (width) =>
          jobText(job, items, {
            width,
            colors: io.out.colors,
            nowMs: io.nowMs(),
            all: options.output === "wide",
            command: io.command,
          }),
      });
      finish(0);
    });
  withExamples(withProject(withConnection(withFormat(command))), [
    ["berth job checksums", "its state, its tasks, how they ended"],
    ["berth job media/thumbs -o yaml", "the whole document, with every default filled in"],
  ]);
};

/** The newest attempt of each task, in the order of the tasks. */
export const latestAttempts = (items: readonly AllocationView[]): AllocationView[] => {
  const latest = new Map<number, AllocationView>();
  for (const one of items) {
    const before = latest.get(one.index);
    const newer =
      before === undefined ||
      one.jobVersion > before.jobVersion ||
      (one.jobVersion === before.jobVersion && one.attempt > before.attempt);
    if (newer) latest.set(one.index, one);
  }
  return [...latest.values()].toSorted((a, b) => a.index - b.index);
};

interface TextOptions {
  readonly width: number | undefined;
  readonly colors: Colors;
  readonly nowMs: number;
  readonly all: boolean;
  readonly command: string;
}

const jobText = (job: JobView, items: readonly AllocationView[], options: TextOptions): string => {
  const { spec } = job;
  const { requests, limits } = spec;
  const exit = job.exitCode === null ? "" : `, exit code ${job.exitCode}`;
  const cpuLimit = limits.cpuMillis === null ? "no CPU limit" : `limit ${formatCpu(limits.cpuMillis)}`;
  const finished = job.finishedAtMs === null ? "" : `, took ${formatDuration(job.finishedAtMs - job.submittedAtMs)}`;
  const facts: [string, string][] = [
    ["job", `${job.project}/${job.name} (${spec.kind}, version ${job.version})`],
    ["state", `${paint(options.colors, toneOf(job.state), job.state)}${exit}`],
    [
      "tasks",
      `${taskTotal(job.tasks)}${spec.kind === "daemon" ? ", one for each host" : ""}${spec.maxRunning === null ? "" : `, at most ${spec.maxRunning} at a time`}: ${countsText(job)}`,
    ],
    ["command", plainLine(spec.command.map(quoted).join(" "))],
    [
      "each",
      `${formatCpu(requests.cpuMillis)} CPU (${cpuLimit}), ${formatBytes(requests.memoryBytes)} memory (limit ${formatBytes(limits.memoryBytes)}), ${limits.pids} processes`,
    ],
    [
      "submitted",
      `${formatDuration(Math.max(0, options.nowMs - job.submittedAtMs))} ago by ${plainLine(job.submittedBy)}${finished}`,
    ],
  ];
  if (job.pendingReason !== null) facts.push(["waits for", plainLine(job.pendingReason)]);
  const lines = facts.map(([label, value]) => `${options.colors.dim(label.padEnd(9))}  ${value}`);
  const attempts = latestAttempts(items);
  const rows = options.all ? attempts : attempts.slice(0, MAX_ROWS);
  if (rows.length > 0) {
    // The project is in the heading already.
    const columns = allocationColumns(options.nowMs).filter((column) => column.title !== "PROJECT");
    lines.push("", renderTable(columns, rows, options).trimEnd());
  }
  if (rows.length < attempts.length) lines.push(`… and ${attempts.length - rows.length} more (-o wide shows all)`);
  const waiting = job.tasks.pending;
  if (waiting > 0 && job.pendingReason !== null) {
    const index = firstWithout(attempts, taskTotal(job.tasks));
    lines.push("", `${waiting} waiting; why: ${options.command} why '${taskName(job.name, index)}'`);
  }
  return `${lines.join("\n")}\n`;
};

const firstWithout = (attempts: readonly AllocationView[], count: number): number => {
  const placed = new Set(attempts.map((one) => one.index));
  for (let index = 0; index < count; index += 1) if (!placed.has(index)) return index;
  return 0;
};

/** As one would type it in a shell. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
