/**
 * How the steps of an allocation change what is known of it. The order is the promise: a record is on disk before it is
 * seen, an end is on disk before the runtime forgets.
 */
import { isTerminal, type AllocationId, type Exit } from "@berth/schema";
import type { RuntimeError } from "../core/container.ts";
import type { Action } from "../core/diff.ts";
import { failedExit, succeeded } from "../core/exit.ts";
import { finish, type AllocationRecord } from "../core/record.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";

export type ActionOf<K extends Action["kind"]> = Extract<Action, { kind: K }>;

/** Before something that failed is tried again. */
export const RETRY_MS = 1000;

/** A failure before the runtime or the kernel had a part in it. */
export const berthError = (stage: string, detail: string): RuntimeError => ({ stage, errno: 0, code: "", detail });

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const sleep = ({ clock }: AgentContext, ms: number): Promise<void> =>
  new Promise((resolve) => void clock.after(ms, resolve));

/** What is known of an allocation from now on. */
export const put = ({ state }: AgentContext, record: AllocationRecord): AllocationRecord => {
  state.records.set(record.id, record);
  return record;
};

/**
 * Writes the changed record down and then lets it be seen, so that nothing is told which a restart would not know. When it
 * cannot be written it is seen nevertheless: what happened has happened. True when it is on disk.
 */
export const change = async (
  context: AgentContext,
  id: AllocationId,
  options: { readonly durable: boolean },
  apply: (record: AllocationRecord) => AllocationRecord,
): Promise<boolean> => {
  const { journal, log, state } = context;
  const before = state.records.get(id);
  if (before === undefined) throw new Error(`${id} has no record`);
  let isSaved = true;
  try {
    await journal.saveRecord(apply(before), options);
  } catch (error) {
    isSaved = false;
    log.error({ allocationId: id, error: errorFields(error) }, "journal.write_failed");
  }
  // An acknowledgement may have come meanwhile.
  put(context, apply(state.records.get(id) ?? before));
  return isSaved;
};

/** It could not be started. */
export const fail = (context: AgentContext, id: AllocationId, error: RuntimeError): Promise<void> =>
  end(context, id, "failed", failedExit(error, context.clock.nowMs()), 0);

/** The allocation is over: written down, then told. */
export const end = async (
  context: AgentContext,
  id: AllocationId,
  state: "exited" | "failed",
  exit: Exit,
  keptBytes: number,
): Promise<void> => {
  const before = context.state.records.get(id);
  if (before === undefined || isTerminal(before.state)) return;
  const isSaved = await change(context, id, { durable: true }, (record) => finish(record, state, exit, keptBytes));
  if (!isSaved) context.state.unsaved.add(id);
  context.log.info(
    { allocationId: id, task: before.task, state, code: exit.code, cause: exit.cause, detail: exit.detail },
    "allocation.ended",
  );
  context.wakeReporter();
  if (before.outputs.length > 0 && !succeeded(exit)) {
    await context.files.discardOutputs(id).catch((error: unknown) => {
      context.log.warn({ allocationId: id, error: errorFields(error) }, "outputs.discard_failed");
    });
  }
};
