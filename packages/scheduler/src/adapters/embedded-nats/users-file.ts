/**
 * Admission to nats-servers that are not ours: the account's users in a file that the server's configuration includes,
 * written at every change by each scheduler for the server beside it. The server is told to read it by a signal; one on
 * another machine, or of another user, watches the file by itself (deploy/nats has a unit for that).
 */
import { readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";
import type { Logger } from "pino";
import type { Admission, AdmittedHost } from "../../ports/admission.ts";
import { readIfThere, writeFileAtomic } from "../files/atomic.ts";
import { renderUsers } from "./config.ts";

export interface UsersFileOptions {
  readonly urls: readonly string[];
  readonly ca: string | null;
  readonly controlKey: string;
  readonly usersFile: string;
  readonly serverPidFile: string | undefined;
  readonly log: Logger;
}

/** A recycled pid is never signalled. */
const signalServer = async (pidFile: string): Promise<void> => {
  const pid = Number.parseInt(await readFile(pidFile, "utf8"), 10);
  if (!Number.isSafeInteger(pid) || pid < 2) throw new Error(`${pidFile} does not hold a pid`);
  const program = basename(await readlink(`/proc/${pid}/exe`));
  if (!program.startsWith("nats-server")) throw new Error(`${pidFile} names ${pid}, which is ${program}`);
  process.kill(pid, "SIGHUP");
};

export const usersFileAdmission = (options: UsersFileOptions): Admission => {
  const { usersFile, serverPidFile, log } = options;
  let turn: Promise<void> = Promise.resolve();
  let newest = "";

  const takeOver = async (): Promise<void> => {
    const wanted = newest;
    if ((await readIfThere(usersFile)) === wanted) return;
    // The server may run as another user of the file's group; there are no secrets in it.
    await writeFileAtomic(usersFile, wanted, 0o644);
    if (serverPidFile !== undefined) await signalServer(serverPidFile);
    log.info({ usersFile }, "bus_users_written");
  };

  return {
    urls: options.urls,
    ca: options.ca,
    admit: (hosts: readonly AdmittedHost[]) => {
      newest = renderUsers(options.controlKey, hosts);
      const mine = turn.then(takeOver);
      turn = mine.catch(() => {});
      return mine;
    },
  };
};
