/** `berth version`: of this program, and of the scheduler it talks to when there is one. */
import { readFileSync } from "node:fs";
import { decoder, Routes, VersionSchema, type Version } from "@berth/schema";
import { resolveConnection, type ConnectionOptions } from "../client/connection.ts";
import { createClient } from "../client/client.ts";
import { Failure } from "../failure.ts";
import { printDocument } from "../output/format.ts";
import type { Io } from "../io.ts";
import { withConnection, withExamples, withFormat, type FormatOptions, type Register } from "./verb.ts";

const decodeVersion = decoder(VersionSchema);

export const ownVersion = (): string => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
};

const serverVersion = async (io: Io, options: ConnectionOptions): Promise<Version | string> => {
  try {
    const client = createClient(resolveConnection(options, io.env));
    return (await client.get(decodeVersion, Routes.version, { patienceMs: 0 })).value;
  } catch (error) {
    if (error instanceof Failure) return error.detail ?? error.message;
    throw error;
  }
};

export const registerVersion: Register = (program, { io, finish }) => {
  const command = program
    .command("version")
    .description("print the version of this program and of the cluster")
    .action(async (options: ConnectionOptions & FormatOptions) => {
      const berth = ownVersion();
      const found = await serverVersion(io, options);
      const scheduler = typeof found === "string" ? null : found;
      const line =
        typeof found === "string"
          ? `scheduler  none (${found})`
          : `scheduler  ${found.version}, API ${found.api}, cluster ${found.cluster}`;
      await printDocument(io, options.output, {
        document: { berth, scheduler },
        name: berth,
        text: () => `berth      ${berth}\n${line}\n`,
      });
      finish(0);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth version", "this program and the scheduler"],
    ["berth version -o json", "with the scheduler's capabilities"],
  ]);
};
