/** Where an order about images goes: named hosts, so many of the scheduler's choice, or every host that answers. */
import { InvalidArgumentError, Option, type Command } from "commander";
import { isLabel, MAX_IMAGE_COPIES, type HostId, type ImageOrder } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { withConnection } from "./verb.ts";

export interface HostsOptions extends ConnectionOptions {
  readonly host?: readonly string[];
  readonly copies?: number;
  readonly quiet?: boolean;
}

const collectHost = (text: string, before: readonly string[] | undefined): readonly string[] => {
  if (!isLabel(text)) throw new InvalidArgumentError("that is no name of a host");
  return [...(before ?? []), text];
};

export const withHosts = (command: Command): Command =>
  withConnection(
    command
      .addOption(
        new Option("--host <name>", "only there; may be given several times").argParser(
          collectHost as () => readonly string[],
        ),
      )
      .option("-q, --quiet", "no progress"),
  );

const copiesOf = (text: string): number => {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 1 && number <= MAX_IMAGE_COPIES) return number;
  throw new InvalidArgumentError(`write a number from 1 to ${MAX_IMAGE_COPIES}`);
};

export const withCopies = (command: Command): Command =>
  withHosts(
    command.addOption(
      new Option("--copies <n>", "to so many hosts; the others take it from there when they need it")
        .argParser(copiesOf)
        .conflicts("host"),
    ),
  );

export const orderOf = (options: HostsOptions, request: ImageOrder["request"]): ImageOrder => ({
  ...(options.copies === undefined ? {} : { copies: options.copies }),
  ...(options.host === undefined ? {} : { hosts: [...options.host] as HostId[] }),
  request,
});
