/** `berth attach TASK`: what a running task writes, from a little before now; its standard input, where it has one. */
import { InvalidArgumentError } from "commander";
import type { SessionRequest } from "@berth/schema";
import { parseDetachKeys } from "../client/detach-keys.ts";
import { runSessionVerb, type SessionVerbOptions } from "./session-verb.ts";
import { wholeNumber, withConnection, withExamples, withProject, type Register } from "./verb.ts";

interface AttachOptions extends SessionVerbOptions {
  readonly scrollback: number;
}

const detachKeys = (text: string): Buffer => {
  const keys = parseDetachKeys(text);
  if (keys === undefined) throw new InvalidArgumentError("write ctrl-LETTER or single characters, with commas between");
  return keys;
};

export const registerAttach: Register = (program, { io, finish }) => {
  const command = program
    .command("attach")
    .description("show what a running task writes, and pass standard input on")
    .argument("<task>", "job for its first task, 'job[3]', project/job, or an allocation's id")
    .option("-i, --stdin", "pass standard input on")
    .option("--detach-keys <keys>", "leave at these keys (default: ctrl-p,ctrl-q)", detachKeys)
    .option(
      "--scrollback <bytes>",
      "of each stream, so much of what was written before",
      wholeNumber(0, 1_048_576),
      65_536,
    )
    .action(async (task: string, options: AttachOptions) => {
      const request: SessionRequest = {
        kind: "attach",
        scrollbackBytes: options.scrollback,
        ...(options.stdin === true ? { stdin: true } : {}),
      };
      finish(await runSessionVerb(io, io.keyboard(), task, options, request));
    });
  withExamples(withProject(withConnection(command)), [
    ["berth attach web", "Ctrl-C leaves; the task runs on"],
    ["berth attach --scrollback 0 'web[2]'", "only what comes from now on"],
  ]);
};
