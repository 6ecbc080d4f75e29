/** `berth dashboard`: a fresh link that logs a browser in once. */
import { decoder, formatDuration, Routes, TicketSchema, type Ticket } from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { say } from "../io.ts";
import { printDocument } from "../output/format.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

const decodeTicket = decoder(TicketSchema);

export interface LoginLink extends Ticket {
  readonly url: string;
}

export const loginLink = async (client: Client): Promise<LoginLink> => {
  const { value } = await client.post(decodeTicket, Routes.tickets, {});
  const url = new URL(Routes.login, client.connection.api);
  url.searchParams.set("ticket", value.ticket);
  return { ...value, url: url.href };
};

export const registerDashboard: Register = (program, { io, finish }) => {
  const command = program
    .command("dashboard")
    .description("print a link that logs a browser in, once")
    .action(async (options: ConnectionOptions & FormatOptions) => {
      const link = await loginLink(clientOf(io, options));
      if (options.output === "table" || options.output === "wide") {
        await say(io, `Works once, within ${formatDuration(link.expiresInMs)}:`);
      }
      await printDocument(io, options.output, { document: link, name: link.url, text: () => `${link.url}\n` });
      finish(0);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth dashboard", "then open the link in a browser"],
    ["berth dashboard -o name", "the bare link, for scripts"],
  ]);
};
