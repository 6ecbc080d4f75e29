/**
 * The first thing an agent does: finds out what is true. The journal says what was intended, the runtime what exists;
 * nothing is started, stopped or told here. Afterwards every live container is watched and has its id range booked.
 */
import { decodeJson, decoder, DesiredDocumentSchema, AllocationIdSchema, type AllocationId } from "@berth/schema";
import { NO_VERSION } from "../core/accept.ts";
import { isFinished, orphanRecord, type AllocationRecord } from "../core/record.ts";
import { slotOf } from "../core/slots.ts";
import { errorFields } from "../ports/log.ts";
import type { Container } from "../ports/runtime.ts";
import type { AgentContext } from "./context.ts";

const decodeDocument = decoder(DesiredDocumentSchema);
const decodeId = decoder(AllocationIdSchema);

export const recover = async (context: AgentContext): Promise<void> => {
  await recoverDesired(context);
  const { records, unreadable } = await context.journal.loadRecords();
  for (const record of records) context.state.records.set(record.id, record);
  for (const id of unreadable) context.state.records.set(id, orphanRecord(id));
  await adoptContainers(context);
  dropDeadSlots(context);
};

const recoverDesired = async ({ journal, log, settings, state, verifier }: AgentContext): Promise<void> => {
  const loaded = await journal.loadDesired();
  state.version = loaded.floor;
  state.fence = loaded.fence;
  if (loaded.document === undefined) return;
  const payload = verifier.verify(loaded.document);
  if (payload === undefined) {
    // Signed with another key: this directory comes from another cluster, whose versions mean nothing here.
    log.error({}, "journal.desired_not_trusted");
    state.version = NO_VERSION;
    state.fence = 0;
    return;
  }
  const document = decodeJson(decodeDocument, payload, "the stored document");
  if (document.ok && document.value.host === settings.host) state.document = document.value;
  else log.error({ problem: document.ok ? "for another host" : document.error }, "journal.desired_unusable");
};

const adoptContainers = async (context: AgentContext): Promise<void> => {
  const { log, runtime, state } = context;
  for (const found of await runtime.adopt()) {
    const id = decodeId(found.id);
    if (!id.ok) {
      log.warn({ container: found.id, kind: found.kind }, "container.foreign");
      continue;
    }
    if (found.kind === "never_started") {
      await found.remove().catch((error: unknown) => {
        log.warn({ allocationId: id.value, error: errorFields(error) }, "container.remove_failed");
      });
      continue;
    }
    const { container } = found;
    watch(context, id.value, container, ageMsOf(context, container));
    if (found.kind === "ended") {
      const live = state.containers.get(id.value);
      if (live !== undefined) live.exit = found.exit;
    } else reserveSlot(context, id.value, container);
    log.info({ allocationId: id.value, kind: found.kind, pid: container.pid }, "container.adopted");
  }
};

/** By what the kernel says of its process: somebody may have set the clock since it was started. */
const ageMsOf = ({ clock, probe }: AgentContext, { pid, startedAtMs }: Container): number => {
  const known = pid === null ? undefined : probe.ageMsOf(pid);
  return known ?? (startedAtMs === null ? 0 : Math.max(0, clock.nowMs() - startedAtMs));
};

/** Follows a container to its end. `elapsedMs`: how long it has been running. */
export const watch = (context: AgentContext, id: AllocationId, container: Container, elapsedMs: number): void => {
  const { clock, state, wake } = context;
  const startedMonotonicMs = clock.monotonicMs() - elapsedMs;
  const live = {
    container,
    startedMonotonicMs,
    exit: undefined,
    limits: undefined,
    limitsRefused: undefined,
    paused: false,
  };
  state.containers.set(id, live);
  void container.exited.then((exit) => {
    const current = state.containers.get(id);
    if (current?.container === container) current.exit = exit;
    wake();
  });
};

/** A live container without a record still occupies its ids: its user namespace tells which. */
const reserveSlot = ({ log, probe, settings, state }: AgentContext, id: AllocationId, container: Container): void => {
  const record = state.records.get(id);
  if (record?.slot !== undefined && record.slot !== null) return;
  const base = container.pid === null ? undefined : probe.idBaseOf(container.pid);
  const slot = base === undefined ? undefined : slotOf(settings.ids, base);
  if (slot === undefined) log.warn({ allocationId: id, base }, "container.id_range_unknown");
  else state.records.set(id, { ...(record ?? orphanRecord(id)), slot });
};

/** Ranges of allocations that ended while nobody looked are free. */
const dropDeadSlots = ({ state }: AgentContext): void => {
  for (const [id, record] of state.records) {
    if (record.slot === null) continue;
    state.lastSlot = Math.max(state.lastSlot, record.slot);
    if (isFinished(record)) state.records.set(id, { ...record, slot: null } satisfies AllocationRecord);
  }
};
