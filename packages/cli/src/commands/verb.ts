/** What all verbs share: options with one meaning everywhere, and the way from an action to an exit status. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseNetwork } from "@berth/schema";
import { createClient, type Client } from "../client/client.ts";
import { DEFAULT_DATA_DIR, resolveConnection, type ConnectionOptions } from "../client/connection.ts";
import type { Io } from "../io.ts";
import { FORMATS, type Format } from "../output/format.ts";

/** A verb registers itself; its action resolves to the exit status of the program. */
export interface Host {
  readonly io: Io;
  readonly finish: (status: number) => void;
}
export type Register = (program: Command, host: Host) => void;

export interface FormatOptions {
  readonly output: Format;
}
export interface ProjectOptions {
  readonly project: string;
}

export const withFormat = (command: Command): Command =>
  command.addOption(
    new Option("-o, --output <format>", "how to print").choices([...FORMATS]).default("table" satisfies Format),
  );

export const withConnection = (command: Command): Command =>
  command
    .addOption(new Option("--api <url>", "the API's address (or BERTH_API)").helpGroup("Which cluster:"))
    .addOption(
      new Option("--token-file <file>", "file with the token (or the token in BERTH_TOKEN)").helpGroup(
        "Which cluster:",
      ),
    )
    .addOption(
      new Option("--ca-file <file>", "who signs the API's certificate (or BERTH_CA_FILE)").helpGroup("Which cluster:"),
    )
    .addOption(
      new Option("--data-dir <dir>", `of \`berth up\` (or BERTH_DATA_DIR; default ${DEFAULT_DATA_DIR})`).helpGroup(
        "Which cluster:",
      ),
    );

export const withProject = (command: Command): Command =>
  command.addOption(new Option("-p, --project <name>", "project of the job").default("default"));

/** Two examples, before anything else: most readers need nothing more. */
export const withExamples = (command: Command, examples: readonly (readonly [string, string])[]): Command => {
  const width = Math.max(...examples.map(([text]) => text.length));
  const lines = examples.map(([text, meaning]) => `  ${text.padEnd(width)}   # ${meaning}`);
  return command.addHelpText("before", `${lines.join("\n")}\n`);
};

export const clientOf = (io: Io, options: ConnectionOptions): Client =>
  createClient(resolveConnection(options, io.env));

/** As the agent takes it, which looks at the rest. */
export const collectHostPath = (text: string, before: readonly string[] | undefined): readonly string[] => {
  if (!/^([a-z0-9-]+=)?\//.test(text)) throw new InvalidArgumentError("write it like /srv/media or PROJECT=/srv/media");
  return [...(before ?? []), text];
};

/** As the agent takes it. */
export const networkOption = (of: string): Option =>
  new Option(
    "--network <rate>",
    `bandwidth of ${of}'s link that may be booked: 1G, ingress=1G,egress=200M, none (default: what the kernel says)`,
  ).argParser((text) => {
    const parsed = parseNetwork(text);
    if (!parsed.ok) throw new InvalidArgumentError(parsed.error);
    return parsed.value;
  });

/** The same. */
export const unconfinedOption = (of: string): Option =>
  new Option(
    "--unconfined-seccomp",
    `jobs of projects that may do without the filter of system calls run on ${of}, if they ask for it`,
  );

export const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`write a whole number from ${least} to ${most}`);
  };
