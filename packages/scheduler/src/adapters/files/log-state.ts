/**
 * What this machine remembers of the log: which one it was and how far it went. A log that has vanished or shrunk must
 * stop the start; an empty cluster in the place of a full one would stop every workload.
 */
import { Type, decodeJson, decoder } from "@berth/schema";
import type { LogEnd } from "../../ports/log.ts";
import { StartupProblem } from "../../ports/startup-problem.ts";
import { readIfThere, writeFileAtomic } from "./atomic.ts";

const decode = decoder(
  Type.Object(
    { version: Type.Literal(1), incarnation: Type.String(), lastSequence: Type.Integer({ minimum: 0 }) },
    { additionalProperties: false },
  ),
);

export interface LogMemory {
  /** Throws `StartupProblem` when `end` cannot be the continuation of what is remembered. */
  readonly check: (end: LogEnd) => void;
  /** Remembers; writes at most one file at a time and only the newest. */
  readonly remember: (end: LogEnd) => Promise<void>;
}

const advice = (path: string): string =>
  `restore a backup with: berth restore FILE; or, to accept the loss and start from what is there, remove ${path}`;

/** True when a log was here once: a start that finds none must not make a new one. */
export const openLogMemory = async (path: string): Promise<LogMemory & { readonly known: boolean }> => {
  const text = await readIfThere(path);
  const decoded = text === undefined ? undefined : decodeJson(decode, text, path);
  if (decoded?.ok === false)
    throw new StartupProblem(`${path} cannot be read: ${decoded.error.detail}; ${advice(path)}`);
  let known = decoded?.value;
  let writing: Promise<void> | undefined;
  return {
    known: known !== undefined,
    check: (end) => {
      if (known === undefined) return;
      if (end.incarnation !== known.incarnation) {
        throw new StartupProblem(
          `the log is not the one that was here (it had ${known.lastSequence} transactions, this one was made anew); ${advice(path)}`,
        );
      }
      if (end.lastSequence < known.lastSequence) {
        throw new StartupProblem(
          `the log has lost its end: ${known.lastSequence} transactions were in it, ${end.lastSequence} are there; ${advice(path)}`,
        );
      }
    },
    remember: async (end) => {
      if (known?.incarnation === end.incarnation && known.lastSequence === end.lastSequence) return;
      known = { version: 1, incarnation: end.incarnation, lastSequence: end.lastSequence };
      while (writing !== undefined) await writing;
      const write = writeFileAtomic(path, `${JSON.stringify(known)}\n`, 0o600).finally(() => {
        writing = undefined;
      });
      writing = write;
      await write;
    },
  };
};
