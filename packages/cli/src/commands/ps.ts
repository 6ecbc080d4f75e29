/** `berth ps`: the tasks that run, and with --all those that have ended. */
import { isTerminal, taskName } from "@berth/schema";
import { jobRef, listAllocations } from "../client/queries.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { allocationColumns, allocationWideColumns } from "../output/columns.ts";
import { printListing } from "../output/format.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

interface PsOptions extends ConnectionOptions, FormatOptions {
  readonly project?: string;
  readonly host?: string;
  readonly all?: boolean;
}

export const registerPs: Register = (program, { io, finish }) => {
  const command = program
    .command("ps")
    .description("list tasks that are placed or running")
    .argument("[job]", "only tasks of this job")
    .option("-a, --all", "also those that have ended")
    .option("-p, --project <name>", "only tasks of this project")
    .option("--host <host>", "only tasks on this host")
    .action(async (job: string | undefined, options: PsOptions) => {
      const ref = job === undefined ? undefined : jobRef(job, options.project ?? "default");
      const list = await listAllocations(clientOf(io, options), {
        project: ref?.project ?? options.project,
        job: ref?.job,
        host: options.host,
      });
      const rows = list.items.filter((one) => options.all === true || !isTerminal(one.state));
      await printListing(io, options.output, {
        document: { ...list, items: rows },
        rows,
        columns: allocationColumns(io.nowMs()),
        wide: allocationWideColumns,
        name: (one) => `${one.project}/${taskName(one.job, one.index)}`,
        empty:
          options.all === true ? "No task has been placed yet." : `No task is running. Try: ${io.command} ps --all`,
      });
      finish(0);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth ps", "what runs now, and where"],
    ["berth ps thumbs --all", "every attempt of one job"],
  ]);
};
