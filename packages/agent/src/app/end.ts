/**
 * Ending an allocation: stopping its container, putting away what it leaves, letting the runtime forget it. A task is only
 * told to have succeeded when its outputs are where they will be read.
 */
import { parseTaskRef, type AllocationId } from "@berth/schema";
import { exitOf, neverStartedExit, outputsFailedExit, succeeded, vanishedExit } from "../core/exit.ts";
import { advance, newRecord, orphanRecord, type AllocationRecord, type StopCause } from "../core/record.ts";
import { idBaseOf } from "../core/slots.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";
import { berthError, change, end, fail, messageOf, put, RETRY_MS, sleep, type ActionOf } from "./record-changes.ts";
import { noteResumed, runOf } from "./written.ts";

const COLLECT_ATTEMPTS = 3;

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
  // A paused one goes on for its grace: whoever reads it as one that stands still has to know.
  noteResumed(live.container);
  try {
    live.exit = await live.container.stop({ graceMs });
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
    keptBytes += await files.keepLogs(id, live.container.logPath);
  } catch (error) {
    log.error({ allocationId: id, error: errorFields(error) }, "allocation.logs_not_kept");
  }
  await keepWritten(context, id, record);
  await end(context, id, "exited", exit, keptBytes);
};

/**
 * What it wrote over its image is kept for a while. Nothing of a container that ended with its machine: it wrote without
 * waiting for the disk.
 */
const keepWritten = async (context: AgentContext, id: AllocationId, record: AllocationRecord): Promise<void> => {
  const { clock, kept, log, settings, state } = context;
  const live = state.containers.get(id);
  const run = runOf(context, id);
  const task = parseTaskRef(record.task);
  if (live?.exit === undefined || live.exit.cause === "host_rebooted" || record.slot === null) return;
  if (run === undefined || task?.project === undefined) return;
  const { index, job, project } = task;
  const idBase = idBaseOf(settings.ids, record.slot);
  try {
    const layer = { ...run, allocation: id, project, job, index, idBase, endedAtMs: clock.nowMs() };
    if (await kept.keep(layer, live.container.writablePath)) context.wakeKeeper();
  } catch (error) {
    log.warn({ allocationId: id, error: errorFields(error) }, "allocation.layer_not_kept");
  }
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
  // Somebody reads what it wrote, and nothing of it is kept elsewhere.
  if (context.kept.isHeld(id)) {
    await sleep(context, RETRY_MS);
    return;
  }
  try {
    await live.container.remove();
    state.containers.delete(id);
    // What is kept of it lies over the layers of its image.
    await (context.kept.get(id) === undefined ? context.images.release(id) : context.images.unmount(id));
  } catch (error) {
    log.warn({ allocationId: id, error: errorFields(error) }, "container.remove_failed");
    await sleep(context, RETRY_MS);
  }
};
