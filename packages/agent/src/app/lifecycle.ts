/**
 * What is done to one allocation: start, adopt, stop, finish, settle, release. Each is one asynchronous step that the
 * reconcile loop begins and that ends with the state changed; two steps of one allocation never run at the same time.
 * The order of writes is the promise: the record before the start, the end before the runtime forgets.
 */
import { isTerminal, type AllocationId, type DesiredAllocation, type Exit, type JobSpec } from "@berth/schema";
import { containerSpecOf } from "../core/container-spec.ts";
import type { RuntimeError } from "../core/container.ts";
import type { Action } from "../core/diff.ts";
import { exitOf, failedExit, neverStartedExit, outputsFailedExit, succeeded, vanishedExit } from "../core/exit.ts";
import {
  advance,
  completeOrphan,
  finish,
  isOrphan,
  newRecord,
  orphanRecord,
  type AllocationRecord,
  type StopCause,
} from "../core/record.ts";
import { idBaseOf, nextSlot } from "../core/slots.ts";
import { errorFields } from "../ports/log.ts";
import type { StartResult } from "../ports/runtime.ts";
import type { AgentContext } from "./context.ts";
import { watch } from "./recover.ts";

const SIGTERM = 15;
/** A start that takes longer than this is told as `starting`. */
const SLOW_START_MS = 1000;
const COLLECT_ATTEMPTS = 3;
const RETRY_MS = 1000;

type ActionOf<K extends Action["kind"]> = Extract<Action, { kind: K }>;

const berthError = (stage: string, detail: string): RuntimeError => ({ stage, errno: 0, code: "", detail });

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const sleep = ({ clock }: AgentContext, ms: number): Promise<void> =>
  new Promise((resolve) => void clock.after(ms, resolve));

const put = ({ state }: AgentContext, record: AllocationRecord): AllocationRecord => {
  state.records.set(record.id, record);
  return record;
};

/** Books an id range; false when all are in use, and the start has to wait for one. */
export const bookSlot = (context: AgentContext, { allocation, spec }: ActionOf<"start">): boolean => {
  const { settings, state } = context;
  const record = state.records.get(allocation.id) ?? newRecord(allocation, spec);
  if (record.slot !== null) return true;
  const taken = new Set<number>();
  for (const other of state.records.values()) if (other.slot !== null) taken.add(other.slot);
  const slot = nextSlot(settings.ids, taken, state.lastSlot);
  if (slot === undefined) return false;
  state.lastSlot = slot;
  put(context, { ...advance(record, "preparing"), slot });
  return true;
};

/** Starts an allocation whose id range is booked. */
export const start = async (context: AgentContext, { allocation, spec }: ActionOf<"start">): Promise<void> => {
  const { id } = allocation;
  const prepared = await prepare(context, allocation, spec);
  if (!prepared.ok) {
    await fail(context, id, prepared.error);
    return;
  }
  const cancel = context.clock.after(SLOW_START_MS, () => {
    const record = context.state.records.get(id);
    if (record === undefined || isTerminal(record.state)) return;
    put(context, advance(record, "starting", { reason: "starting" }));
    context.wakeReporter();
  });
  let result: StartResult;
  try {
    result = await context.runtime.start(prepared.value);
  } catch (error) {
    await fail(context, id, berthError("runtime", messageOf(error)));
    return;
  } finally {
    cancel();
  }
  if (!result.ok) {
    await end(context, id, "failed", exitOf(result.exit, null), 0);
    return;
  }
  const container = result.value;
  const elapsedMs = container.startedAtMs === null ? 0 : Math.max(0, context.clock.nowMs() - container.startedAtMs);
  watch(context, id, container, elapsedMs);
  await markRunning(context, id, container.startedAtMs);
};

type Prepared =
  | { readonly ok: true; readonly value: ReturnType<typeof containerSpecOf> }
  | { readonly ok: false; readonly error: RuntimeError };

const prepare = async (context: AgentContext, allocation: DesiredAllocation, spec: JobSpec): Promise<Prepared> => {
  const { files, images, journal, settings, state } = context;
  const record = state.records.get(allocation.id);
  if (record === undefined || record.slot === null) throw new Error(`${allocation.id} has no id range`);
  const refuse = (stage: string, detail: string): Prepared => ({ ok: false, error: berthError(stage, detail) });
  const idBase = idBaseOf(settings.ids, record.slot);
  try {
    await journal.saveRecord(record, { durable: true });
  } catch (error) {
    return refuse("journal", `cannot write the record of this allocation: ${messageOf(error)}`);
  }
  const layers = await images.layersOf(spec.image);
  if (layers === undefined) return refuse("image", `${spec.image} is not available on this host`);
  for (const volume of spec.volumes) {
    const wrong = await files.checkVolume(volume.source);
    if (wrong !== undefined) return refuse("volume", wrong);
  }
  let outputRoot = "";
  try {
    if (spec.outputs.length > 0) {
      outputRoot = await files.prepareOutputs(
        allocation.id,
        spec.outputs.map((output) => output.path),
      );
    }
  } catch (error) {
    return refuse("outputs", messageOf(error));
  }
  return {
    ok: true,
    value: containerSpecOf(
      { host: settings.host, allocation, spec },
      { id: allocation.id, layers, idBase, outputRoot },
    ),
  };
};

const fail = (context: AgentContext, id: AllocationId, error: RuntimeError): Promise<void> =>
  end(context, id, "failed", failedExit(error, context.clock.nowMs()), 0);

/**
 * Writes the changed record down and then lets it be seen, so that nothing is told which a restart would not know. When it
 * cannot be written it is seen nevertheless: what happened has happened. True when it is on disk.
 */
const change = async (
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

const markRunning = async (context: AgentContext, id: AllocationId, startedAtMs: number | null): Promise<void> => {
  const atMs = startedAtMs ?? context.clock.nowMs();
  // Not durable: after a power cut the runtime says the same.
  await change(context, id, { durable: false }, (record) =>
    advance(record, "running", { reason: "started", startedAtMs: atMs }),
  );
  context.log.info({ allocationId: id, task: context.state.records.get(id)?.task }, "allocation.running");
  context.wakeReporter();
};

/** The journal, the desired document and the runtime agree again about a container that runs. */
export const adopt = async (context: AgentContext, { id, allocation, spec }: ActionOf<"adopt">): Promise<void> => {
  const { state } = context;
  const known = state.records.get(id);
  if (known === undefined) put(context, allocation === undefined ? orphanRecord(id) : newRecord(allocation, spec));
  else if (isOrphan(known) && allocation !== undefined && spec !== undefined) {
    put(context, completeOrphan(known, allocation, spec));
  }
  await markRunning(context, id, state.containers.get(id)?.container.startedAtMs ?? null);
};

export const stop = async (context: AgentContext, { id, cause }: ActionOf<"stop">): Promise<void> => {
  const { log, state } = context;
  const live = state.containers.get(id);
  const before = state.records.get(id);
  if (live === undefined || before === undefined) return;
  const stopCause: StopCause = before.stopCause ?? cause;
  const graceMs = before.stopTimeoutMs;
  const reason = stopCause === "timeout" ? "timeout" : "stop_requested";
  await change(context, id, { durable: false }, (record) => ({
    ...advance(record, "stopping", { reason }),
    stopCause,
  }));
  log.info({ allocationId: id, task: before.task, cause: stopCause, graceMs }, "allocation.stopping");
  context.wakeReporter();
  try {
    live.exit = await live.container.stop({ signal: SIGTERM, graceMs });
  } catch (error) {
    log.error({ allocationId: id, error: errorFields(error) }, "allocation.stop_failed");
    await sleep(context, RETRY_MS);
  }
};

/** The container has ended: its outputs and logs are put away, its end is written down, and only then told. */
export const finishContainer = async (context: AgentContext, action: ActionOf<"finish">): Promise<void> => {
  const { id, allocation, spec } = action;
  const { files, log, state } = context;
  const live = state.containers.get(id);
  if (live?.exit === undefined) return;
  const record = put(
    context,
    state.records.get(id) ?? (allocation === undefined ? orphanRecord(id) : newRecord(allocation, spec)),
  );
  if (live.exit.cause === "start_failed" && live.exit.error !== null && live.exit.startedAtMs === null) {
    await end(context, id, "failed", exitOf(live.exit, null), 0);
    return;
  }
  let exit = exitOf(live.exit, record.stopCause);
  let keptBytes = 0;
  if (succeeded(exit)) {
    const collected = await collect(context, record);
    if (collected.ok) keptBytes += collected.bytes;
    else exit = outputsFailedExit(exit, collected.why);
  }
  try {
    keptBytes += await files.keepLogs(id, { stdout: live.container.stdoutPath, stderr: live.container.stderrPath });
  } catch (error) {
    log.error({ allocationId: id, error: errorFields(error) }, "allocation.logs_not_kept");
  }
  await end(context, id, "exited", exit, keptBytes);
};

type Collection = { readonly ok: true; readonly bytes: number } | { readonly ok: false; readonly why: string };

const collect = async (context: AgentContext, record: AllocationRecord): Promise<Collection> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const result = await context.files.collectOutputs(record.id, record.outputs);
      return result.ok ? { ok: true, bytes: result.value } : { ok: false, why: result.error };
    } catch (error) {
      context.log.error({ allocationId: record.id, attempt, error: errorFields(error) }, "outputs.collect_failed");
      if (attempt >= COLLECT_ATTEMPTS) return { ok: false, why: messageOf(error) };
      await sleep(context, RETRY_MS);
    }
  }
};

/** An allocation that ends here without a container. */
export const settle = async (context: AgentContext, { id, allocation, outcome }: ActionOf<"settle">): Promise<void> => {
  const nowMs = context.clock.nowMs();
  const record = put(
    context,
    context.state.records.get(id) ?? (allocation === undefined ? orphanRecord(id) : newRecord(allocation, undefined)),
  );
  switch (outcome) {
    case "never_started":
      return await end(context, id, "exited", neverStartedExit(nowMs), 0);
    case "vanished":
      return await end(context, id, "exited", vanishedExit(record.startedAtMs, nowMs), 0);
    case "spec_missing":
      return await fail(
        context,
        id,
        berthError("spec", "the desired document does not hold the spec of this allocation"),
      );
  }
};

const end = async (
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

/** Lets the runtime forget a container whose end is on disk. */
export const release = async (context: AgentContext, { id }: ActionOf<"release">): Promise<void> => {
  const { log, state } = context;
  const live = state.containers.get(id);
  const record = state.records.get(id);
  if (live === undefined || record === undefined) return;
  if (state.unsaved.has(id)) {
    if (!(await change(context, id, { durable: true }, (unsaved) => unsaved))) {
      await sleep(context, RETRY_MS);
      return;
    }
    state.unsaved.delete(id);
  }
  try {
    await live.container.remove();
    state.containers.delete(id);
  } catch (error) {
    log.warn({ allocationId: id, error: errorFields(error) }, "container.remove_failed");
    await sleep(context, RETRY_MS);
  }
};
