/** `berth jobs`: what was asked for, and how far it is. */
import { listJobs } from "../client/queries.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { jobColumns, jobWideColumns } from "../output/columns.ts";
import { printListing } from "../output/format.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

export const registerJobs: Register = (program, { io, finish }) => {
  const command = program
    .command("jobs")
    .description("list jobs")
    .option("-p, --project <name>", "only jobs of this project")
    .action(async (options: ConnectionOptions & FormatOptions & { readonly project?: string }) => {
      const list = await listJobs(clientOf(io, options), { project: options.project });
      await printListing(io, options.output, {
        document: list,
        rows: list.items,
        columns: jobColumns(io.nowMs()),
        wide: jobWideColumns,
        name: (job) => `${job.project}/${job.name}`,
        empty: `No jobs. Try: ${io.command} run examples/hello.yaml`,
      });
      finish(0);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth jobs", "all jobs with their tasks"],
    ["berth jobs -p media -o wide", "one project, every column"],
  ]);
};
