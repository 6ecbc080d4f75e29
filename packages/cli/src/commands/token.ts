/** `berth token`: the lines with which other machines join, each good for one machine and a short time. */
import { Argument, Option } from "commander";
import {
  decoder,
  formatDuration,
  JoinTokenListSchema,
  JoinTokenMadeSchema,
  JoinTokenRevokedSchema,
  routePath,
  Routes,
  type JoinTokenView,
} from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { printDocument, printListing } from "../output/format.ts";
import type { Column } from "../output/table.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

const decodeMade = decoder(JoinTokenMadeSchema);
const decodeList = decoder(JoinTokenListSchema);
const decodeRevoked = decoder(JoinTokenRevokedSchema);

const ACTIONS = ["create", "ls", "revoke"] as const;
type Action = (typeof ACTIONS)[number];

interface TokenOptions extends ConnectionOptions, FormatOptions {
  readonly host?: string;
  readonly ttl?: string;
}

export const registerToken: Register = (program, { io, finish }) => {
  const command = program
    .command("token")
    .description("let other machines join this cluster")
    .addArgument(new Argument("<action>", "create prints one line for one machine").choices([...ACTIONS]))
    .argument("[id]", "revoke: as `berth token ls` shows it")
    .addOption(new Option("--host <name>", "create: the only name that the machine may take"))
    .addOption(new Option("--ttl <duration>", "create: how long it can be used (default 10m)"))
    .action(async (action: Action, id: string | undefined, options: TokenOptions) => {
      finish(await act(io, clientOf(io, options), { action, id, options }));
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth token create", "then run what it prints on the new machine"],
    ["berth token create --host web-1 --ttl 1h", "for one name only, and longer"],
  ]);
};

const columnsAt = (nowMs: number): readonly Column<JoinTokenView>[] => [
  { title: "TOKEN", value: (token) => token.id },
  { title: "STATE", value: (token) => token.state },
  { title: "HOST", value: (token) => token.usedBy ?? token.host ?? "any" },
  {
    title: "EXPIRES",
    value: ({ expiresAtMs }) => (expiresAtMs > nowMs ? `in ${formatDuration(expiresAtMs - nowMs)}` : "-"),
  },
  { title: "BY", value: (token) => token.createdBy },
];

interface Request {
  readonly action: Action;
  readonly id: string | undefined;
  readonly options: TokenOptions;
}

const act = async (io: Io, client: Client, { action, id, options }: Request): Promise<number> => {
  switch (action) {
    case "create": {
      const { host, ttl, output } = options;
      const body = { ...(host === undefined ? {} : { host }), ...(ttl === undefined ? {} : { ttl }) };
      const { value } = await client.post(decodeMade, Routes.joinTokens, body);
      const left = formatDuration(Math.max(0, value.expiresAtMs - io.nowMs()));
      if (output === "table" || output === "wide") {
        await say(io, `On the new machine, once, within ${left}, as root:`);
      }
      const text = `berth join ${value.line}\n`;
      await printDocument(io, output, { document: value, name: value.line, text: () => text });
      return Exit.ok;
    }
    case "ls": {
      const { value } = await client.get(decodeList, Routes.joinTokens);
      const columns = columnsAt(io.nowMs());
      await printListing(io, options.output, {
        document: value,
        rows: value.items,
        columns,
        wide: columns,
        name: (token) => token.id,
        empty: `There are no join tokens. Make one: ${io.command} token create`,
      });
      return Exit.ok;
    }
    case "revoke": {
      if (id === undefined) {
        throw new Failure("Which token?", { exit: Exit.usage, next: ["berth token ls", "berth token revoke TOKEN"] });
      }
      await client.post(decodeRevoked, routePath(Routes.joinTokenRevoke, { token: id }), {});
      await say(io, `Nobody can join with ${id} any more`);
      return Exit.ok;
    }
  }
};
