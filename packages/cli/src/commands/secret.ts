/** `berth secret ACTION`: values that tasks of a project are given. What goes in never comes out, except in a container. */
import { readFile, stat } from "node:fs/promises";
import { Option, type Command } from "commander";
import {
  decoder,
  formatDuration,
  isSecretName,
  MAX_SECRET_BYTES,
  routePath,
  Routes,
  SecretListSchema,
  SECRET_NAME_RULE,
  SecretRemovedSchema,
  SecretViewSchema,
  type SecretView,
} from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { printListing } from "../output/format.ts";
import type { Column } from "../output/table.ts";
import {
  clientOf,
  withConnection,
  withExamples,
  withFormat,
  withProject,
  type FormatOptions,
  type Host,
  type ProjectOptions,
  type Register,
} from "./verb.ts";

const decodeView = decoder(SecretViewSchema);
const decodeList = decoder(SecretListSchema);
const decodeRemoved = decoder(SecretRemovedSchema);

export const registerSecret: Register = (program, host) => {
  const secret = program
    .command("secret")
    .description("values that only tasks of a project can read: set, list and remove them")
    .usage("ACTION [options]");
  withExamples(secret, [
    ["berth secret set db-password < password.txt", "jobs name it: secrets: [{ secret: db-password }]"],
    ["berth secret ls", "names, and which jobs use them; never a value"],
  ]);
  registerSet(secret, host);
  registerLs(secret, host);
  registerRm(secret, host);
};

type Options = ConnectionOptions & ProjectOptions;

const checkName = (io: Io, name: string): string => {
  if (isSecretName(name)) return name;
  const detail = `use ${SECRET_NAME_RULE}`;
  throw new Failure(`"${name}" cannot name a secret`, { exit: Exit.usage, detail, next: [`${io.command} secret ls`] });
};

const tooLarge = (): Failure =>
  new Failure("The value is too large", {
    exit: Exit.usage,
    detail: `a secret has at most ${MAX_SECRET_BYTES} bytes`,
    next: ["put large data into a volume"],
  });

/** Never from an argument: those are in the shell's history, and every user of the machine can read them. */
const valueOf = async (io: Io, name: string, file: string | undefined): Promise<Uint8Array> => {
  if (file === undefined) {
    const keyboard = io.keyboard();
    if (keyboard.isTty) {
      keyboard.close();
      const next = [`${io.command} secret set ${name} < FILE`, `${io.command} secret set ${name} --from FILE`];
      throw new Failure("The value is read from standard input, and there is a terminal", { exit: Exit.usage, next });
    }
    const bytes = await io.readStdin(MAX_SECRET_BYTES);
    if (bytes === undefined) throw tooLarge();
    return bytes;
  }
  try {
    if ((await stat(file)).size > MAX_SECRET_BYTES) throw tooLarge();
    return await readFile(file);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    throw new Failure(`${file} cannot be read`, { exit: Exit.notFound, detail, cause: error });
  }
};

const registerSet = (secret: Command, { io, finish }: Host): void => {
  const command = secret
    .command("set")
    .argument("<name>")
    .description("set a secret to what standard input or a file holds, byte by byte")
    .addOption(new Option("--from <file>", "take the value from this file instead of standard input"))
    .action(async (name: string, options: Options & { readonly from?: string }) => {
      const path = routePath(Routes.secret, { project: options.project, secret: checkName(io, name) });
      const bytes = await valueOf(io, name, options.from);
      if (bytes.length === 0) {
        const next = [`printf %s VALUE | ${io.command} secret set ${name}`];
        throw new Failure("The value is empty", { exit: Exit.usage, next });
      }
      const body = { value: Buffer.from(bytes).toString("base64") };
      const { value } = await clientOf(io, options).post(decodeView, path, body);
      const reach = value.usedBy.length === 0 ? "" : `; what ${value.usedBy.join(", ")} starts from now on gets it`;
      await say(
        io,
        `${value.name} of ${value.project} is set (version ${value.version}, ${bytes.length} bytes)${reach}`,
      );
      finish(Exit.ok);
    });
  withExamples(withConnection(withProject(command)), [
    ["printf %s hunter2 | berth secret set db-password", "exactly these bytes: echo would add a line feed"],
    ["berth secret set tls.key --from key.pem -p media", "of project media"],
  ]);
};

const columns = (nowMs: number): readonly Column<SecretView>[] => [
  { title: "SECRET", value: (one) => one.name },
  { title: "VERSION", value: (one) => String(one.version), align: "right" },
  { title: "SET", value: (one) => `${formatDuration(Math.max(0, nowMs - one.setAtMs))} ago` },
  { title: "BY", value: (one) => one.setBy },
  { title: "USED BY", value: (one) => (one.usedBy.length === 0 ? "-" : one.usedBy.join(", ")), shrinkTo: 12 },
];

const registerLs = (secret: Command, { io, finish }: Host): void => {
  const command = secret
    .command("ls")
    .description("list the secrets of a project, without their values")
    .action(async (options: Options & FormatOptions) => {
      const path = routePath(Routes.secrets, { project: options.project });
      const { value: document } = await clientOf(io, options).get(decodeList, path);
      await printListing(io, options.output, {
        ...{ document, rows: document.items, columns: columns(io.nowMs()) },
        name: (one) => one.name,
        empty: `Project ${options.project} has no secret yet: ${io.command} secret set NAME < FILE`,
      });
      finish(Exit.ok);
    });
  withExamples(withConnection(withFormat(withProject(command))), [
    ["berth secret ls", "of project default"],
    ["berth secret ls -p media -o json", "for a program"],
  ]);
};

const registerRm = (secret: Command, { io, finish }: Host): void => {
  const command = secret
    .command("rm")
    .argument("<name>")
    .description("remove a secret that no job refers to any more")
    .action(async (name: string, options: Options) => {
      const path = routePath(Routes.secretRemove, { project: options.project, secret: checkName(io, name) });
      await clientOf(io, options).post(decodeRemoved, path, {});
      await say(io, `${name} of ${options.project} is removed`);
      finish(Exit.ok);
    });
  withExamples(withConnection(withProject(command)), [
    ["berth secret rm db-password", "when its jobs are stopped"],
    ["berth secret set db-password < new.txt", "instead: another value, for what starts from then on"],
  ]);
};
