/** `berth access`: who may do what with this cluster, each with a token of its own. */
import { Argument, Option } from "commander";
import {
  AccessListSchema,
  AccessMadeSchema,
  AccessRevokedSchema,
  decoder,
  formatDuration,
  ROLES,
  routePath,
  Routes,
  SelfSchema,
  type AccessProjects,
  type AccessView,
  type Role,
} from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { printDocument, printListing } from "../output/format.ts";
import type { Column } from "../output/table.ts";
import { clientOf, withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

const decodeMade = decoder(AccessMadeSchema);
const decodeList = decoder(AccessListSchema);
const decodeRevoked = decoder(AccessRevokedSchema);
const decodeSelf = decoder(SelfSchema);

const ACTIONS = ["create", "ls", "revoke", "self"] as const;
type Action = (typeof ACTIONS)[number];

interface AccessOptions extends ConnectionOptions, FormatOptions {
  readonly role?: Role;
  readonly project?: readonly string[];
  readonly ttl?: string;
}

const collect = (text: string, before: readonly string[] = []): readonly string[] => [...before, ...text.split(",")];

export const registerAccess: Register = (program, { io, finish }) => {
  const command = program
    .command("access")
    .description("who may do what: make, list and revoke tokens of the API")
    .addArgument(new Argument("<action>", "self shows what your own token may").choices([...ACTIONS]))
    .argument("[name]", "create: who or what gets it; revoke: as `berth access ls` shows it")
    .addOption(new Option("--role <role>", "create: what it may do").choices([...ROLES]))
    .addOption(
      new Option(
        "-p, --project <name>",
        "create: only there; may be given several times (default: everywhere)",
      ).argParser(collect),
    )
    .addOption(new Option("--ttl <duration>", "create: how long it is good (default: until revoked)"))
    .action(async (action: Action, name: string | undefined, options: AccessOptions) => {
      finish(await act(io, clientOf(io, options), { action, name, options }));
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth access create ci --role submitter -p web > ci.token", "then: berth run --token-file ci.token"],
    ["berth access revoke ci", "at once, and what is open with it is cut off"],
  ]);
};

const where = (projects: AccessProjects): string => (projects === null ? "all" : projects.join(","));
const left = (expiresAtMs: number | null, nowMs: number): string =>
  expiresAtMs === null ? "never" : `in ${formatDuration(Math.max(0, expiresAtMs - nowMs))}`;

/** Each scheduler knows what it has seen itself; an older one does not say. */
const used = (atMs: number | null | undefined, nowMs: number): string => {
  if (atMs === undefined) return "-";
  return atMs === null ? "not here" : `${formatDuration(Math.max(0, nowMs - atMs))} ago`;
};

const columnsAt = (nowMs: number): readonly Column<AccessView>[] => [
  { title: "NAME", value: (one) => one.name },
  { title: "ROLE", value: (one) => one.role },
  { title: "PROJECTS", value: (one) => where(one.projects) },
  { title: "EXPIRES", value: (one) => left(one.expiresAtMs, nowMs) },
  { title: "LAST USED", value: (one) => used(one.lastUsedAtMs, nowMs) },
  { title: "BY", value: (one) => one.createdBy },
];

interface Request {
  readonly action: Action;
  readonly name: string | undefined;
  readonly options: AccessOptions;
}

const needName = (name: string | undefined, example: string): string => {
  if (name !== undefined) return name;
  throw new Failure("Whose token?", { exit: Exit.usage, next: [example] });
};

const act = async (io: Io, client: Client, { action, name, options }: Request): Promise<number> => {
  switch (action) {
    case "create": {
      const example = `berth access create NAME --role ${ROLES.join("|")}`;
      const { role, project, ttl, output } = options;
      if (role === undefined) throw new Failure("Which role?", { exit: Exit.usage, next: [example] });
      const body = {
        name: needName(name, example),
        role,
        ...(project === undefined ? {} : { projects: project }),
        ...(ttl === undefined ? {} : { ttl }),
      };
      const { value } = await client.post(decodeMade, Routes.access, body);
      if (output === "table" || output === "wide") {
        await say(io, `${value.access.name} is ${role}, projects: ${where(value.access.projects)}. Shown this once:`);
      }
      const text = `${value.token}\n`;
      await printDocument(io, output, { document: value, name: value.token, text: () => text });
      return Exit.ok;
    }
    case "ls": {
      const { value } = await client.get(decodeList, Routes.access);
      const columns = columnsAt(io.nowMs());
      await printListing(io, options.output, {
        document: value,
        rows: value.items,
        columns,
        wide: [...columns, { title: "ID", value: (one: AccessView) => one.id }],
        name: (one) => one.name,
        empty: `Nobody has a token but who reads the data directory. Make one: ${io.command} access create NAME --role ROLE`,
      });
      return Exit.ok;
    }
    case "revoke": {
      const access = needName(name, "berth access ls");
      await client.post(decodeRevoked, routePath(Routes.accessRevoke, { access }), {});
      await say(io, `The token of ${access} is good no longer`);
      return Exit.ok;
    }
    case "self": {
      const { value } = await client.get(decodeSelf, Routes.self);
      const text = `${value.name} is ${value.role}, projects: ${where(value.projects)}, expires: ${left(value.expiresAtMs, io.nowMs())}\n`;
      await printDocument(io, options.output, { document: value, name: value.name, text: () => text });
      return Exit.ok;
    }
  }
};
