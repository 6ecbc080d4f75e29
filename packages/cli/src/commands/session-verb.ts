/** What verbs on one task share: which allocation is meant, and how a person's keyboard and signals reach it. */
import { constants } from "node:os";
import {
  AllocationIdSchema,
  AllocationViewSchema,
  decoder,
  isTerminal,
  problem,
  routePath,
  Routes,
  taskTotal,
  type AllocationId,
  type AllocationView,
  type SessionRequest,
} from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { createDetachFilter, parseDetachKeys } from "../client/detach-keys.ts";
import { attemptsOf, getJob, listLayers, taskRef, type TaskRef } from "../client/queries.ts";
import { runSession, type OpenSession } from "../client/session.ts";
import { Exit, Failure, failureOf } from "../failure.ts";
import { say, type Io, type Keyboard } from "../io.ts";
import { clientOf, type ProjectOptions } from "./verb.ts";

export interface SessionVerbOptions extends ConnectionOptions, ProjectOptions {
  readonly stdin?: boolean;
  readonly detachKeys?: Buffer;
}

interface Size {
  readonly columns: number;
  readonly rows: number;
}

const decodeId = decoder(AllocationIdSchema);
const decodeAllocation = decoder(AllocationViewSchema);
const DEFAULT_DETACH = parseDetachKeys("ctrl-p,ctrl-q") ?? Buffer.alloc(0);

const within = (value: number): number => Math.min(1000, Math.max(1, value));
export const clamped = ({ columns, rows }: Size): Size => ({ columns: within(columns), rows: within(rows) });

const byId = async (client: Client, named: string): Promise<AllocationView | undefined> => {
  const id = decodeId(named);
  if (!id.ok) return undefined;
  const path = routePath(Routes.allocation, { allocation: id.value });
  return (await client.get(decodeAllocation, path)).value;
};

/** The one that runs, or the last one. */
const attemptToRead = async (client: Client, ref: TaskRef): Promise<AllocationView | undefined> => {
  const attempts = await attemptsOf(client, ref);
  return attempts.find((one) => one.state === "running") ?? attempts[0];
};

/** By an allocation's id, or the task's present attempt, or its last one. */
export const allocationToRead = async (client: Client, named: string, project: string): Promise<AllocationView> => {
  const found = await byId(client, named);
  if (found !== undefined) return found;
  return (await attemptToRead(client, taskRef(named, project))) ?? allocationToTalkTo(client, named, project);
};

/**
 * Of whom it is asked what a task wrote: as above, and of a task that the history has forgotten, what a host still keeps.
 * An id is taken as it is: whoever is asked knows whether there is anything of it.
 */
export const writerOf = async (client: Client, named: string, project: string): Promise<AllocationId> => {
  const id = decodeId(named);
  if (id.ok) return id.value;
  const ref = taskRef(named, project);
  const attempt = await attemptToRead(client, ref);
  if (attempt !== undefined) return attempt.id;
  const { items } = await listLayers(client, { project: ref.project });
  const [kept] = items
    .map(({ layer }) => layer)
    .filter(({ index, job }) => job === ref.job && index === ref.index)
    .toSorted((a, b) => b.endedAtMs - a.endedAtMs);
  return kept?.allocation ?? (await allocationToTalkTo(client, named, project)).id;
};

/** By an allocation's id, or the task's present attempt. Throws a Failure that says why there is none. */
export const allocationToTalkTo = async (client: Client, named: string, project: string): Promise<AllocationView> => {
  const found = await byId(client, named);
  if (found !== undefined) return found;
  const ref = taskRef(named, project);
  const attempts = await attemptsOf(client, ref);
  const running = attempts.find((one) => one.state === "running") ?? attempts.find((one) => one.state === "stopping");
  if (running !== undefined) return running;
  const name = `${ref.project}/${ref.job}[${ref.index}]`;
  const { value: job } = await getJob(client, { project: ref.project, job: ref.job });
  const count = taskTotal(job.tasks);
  if (ref.index >= count) {
    throw failureOf(
      problem("task.not_found", `${ref.job} has ${count} tasks${count === 0 ? "" : `: 0 to ${count - 1}`}`),
    );
  }
  const newest = attempts[0];
  const state = newest === undefined ? "pending" : isTerminal(newest.state) ? `over (${newest.state})` : newest.state;
  throw failureOf(problem("allocation.not_running", `${name} is ${state}`)).with({ next: [`berth why '${name}'`] });
};

/** Runs a session until its end. The program's status for `exec`; ok for an `attach` that was left. */
export const runSessionVerb = async (
  io: Io,
  keyboard: Keyboard,
  task: string,
  options: SessionVerbOptions,
  request: SessionRequest,
): Promise<number> => {
  const isExec = request.kind === "exec";
  if (isExec && request.terminal !== undefined && options.stdin === true && !keyboard.isTty) {
    throw new Failure("Standard input is not a terminal", {
      exit: Exit.usage,
      next: [`leave -t away: ${io.command} exec -i TASK -- COMMAND`],
    });
  }
  const client = clientOf(io, options);
  const allocation = await allocationToTalkTo(client, task, options.project);
  if (io.stop.aborted) return Exit.interrupted;
  let undo = (): void => {};
  try {
    const exit = await runSession(client.connection, {
      allocation: allocation.id,
      request,
      out: io.out,
      err: io.err,
      onOpened: (session, terminal) => {
        const keys = isExec ? undefined : (options.detachKeys ?? DEFAULT_DETACH);
        undo = connect(io, keyboard, session, { terminal, takesInput: options.stdin === true, isExec, keys });
      },
    });
    undo();
    if (exit === undefined) return isExec ? Exit.interrupted : Exit.ok;
    if (exit.detail !== null) await say(io, exit.detail);
    return exit.code;
  } finally {
    undo();
    keyboard.close();
  }
};

interface Wiring {
  readonly terminal: boolean;
  readonly takesInput: boolean;
  readonly isExec: boolean;
  readonly keys: Buffer | undefined;
}

/** Returns how to take everything back. */
const connect = (
  io: Io,
  keyboard: Keyboard,
  session: OpenSession,
  { terminal, takesInput, isExec, keys }: Wiring,
): (() => void) => {
  const tellSize = (): void => {
    const size = keyboard.size();
    if (size !== undefined) session.send({ kind: "resize", ...clamped(size) });
  };
  const stopResize = terminal ? keyboard.onResize(tellSize) : (): void => {};
  if (terminal) tellSize();
  // A program without a terminal hears of Ctrl-C from us. Who insists ends this process, and the session with it.
  const onStop = (): void => {
    const signal = io.stoppedBy();
    if (!isExec || terminal || signal === undefined) session.leave();
    else session.send({ kind: "signal", signal: constants.signals[signal] });
  };
  io.stop.addEventListener("abort", onStop, { once: true });
  if (io.stop.aborted) onStop();
  const raw = terminal && takesInput && keyboard.isTty;
  if (raw) keyboard.setRaw(true);
  if (takesInput) {
    const filter = raw && keys !== undefined ? createDetachFilter(keys) : undefined;
    void passInput(keyboard, session, filter).catch(() => session.send({ kind: "eof" }));
  }
  return () => {
    stopResize();
    io.stop.removeEventListener("abort", onStop);
    if (raw) keyboard.setRaw(false);
  };
};

/** Standard input that breaks is standard input that ends. */
const passInput = async (
  keyboard: Keyboard,
  session: OpenSession,
  filter: ReturnType<typeof createDetachFilter> | undefined,
): Promise<void> => {
  for await (const chunk of keyboard.bytes()) {
    const { bytes, detach } = filter?.push(chunk as Buffer) ?? { bytes: chunk as Buffer, detach: false };
    if (bytes.length > 0) await session.input(bytes);
    if (detach) return session.leave();
  }
  session.send({ kind: "eof" });
};
