/** `berth hosts`: the machines, what is reserved on them and what is used. */
import { listHosts } from "../client/queries.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { hostColumns, hostWideColumns } from "../output/columns.ts";
import { printListing } from "../output/format.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

export const registerHosts: Register = (program, { io, finish }) => {
  const command = program
    .command("hosts")
    .description("list hosts with what is reserved and used")
    .action(async (options: ConnectionOptions & FormatOptions) => {
      const list = await listHosts(clientOf(io, options));
      await printListing(io, options.output, {
        document: list,
        rows: list.items,
        columns: hostColumns,
        wide: hostWideColumns,
        name: (host) => host.id,
        empty: `No host has registered yet. Try: ${io.command} up`,
      });
      finish(0);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth hosts", "what is reserved and used"],
    ["berth hosts -o json", "everything a host says of itself"],
  ]);
};
