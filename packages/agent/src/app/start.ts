/**
 * Starting an allocation, and finding one that was started. The record with the id range is on disk before the runtime is
 * asked; whatever is killed afterwards, the next life of the agent asks the runtime first.
 */
import {
  err,
  isTerminal,
  ok,
  refuseHostPath,
  volumeNameOf,
  type AllocationId,
  type DesiredAllocation,
  type JobSpec,
  type Result,
} from "@berth/schema";
import { NEVER } from "../core/turns.ts";
import { settingsOf } from "../core/devices.ts";
import { containerSpecOf } from "../core/container-spec.ts";
import type { ContainerSpec, RuntimeError } from "../core/container.ts";
import type { PreparedImage } from "../core/images/prepared.ts";
import { secretsOf } from "../core/secrets.ts";
import { exitOf } from "../core/exit.ts";
import { isMachine, refuseForMachine } from "../core/images/machine.ts";
import { advance, completeOrphan, isOrphan, newRecord, orphanRecord } from "../core/record.ts";
import { idBaseOf, nextSlot } from "../core/slots.ts";
import type { StartResult } from "../ports/runtime.ts";
import type { AgentContext } from "./context.ts";
import { leaseForStart } from "./leases.ts";
import { berthError, change, end, fail, messageOf, put, type ActionOf } from "./record-changes.ts";
import { watch } from "./recover.ts";

/** A start that takes longer than this is told as `starting`. */
const SLOW_START_MS = 1000;
const STILL_WANTED_MS = 1000;
/** What is not wanted any more by then is started nevertheless, and stopped at once. */

/** Runs again what ended with its machine; its log begins anew. */
export const revive = async (context: AgentContext, action: ActionOf<"revive">): Promise<void> => {
  const { id } = action.allocation;
  const live = context.state.containers.get(id);
  if (live?.exit === undefined) return;
  context.log.warn({ allocationId: id, task: context.state.records.get(id)?.task }, "allocation.revived");
  await live.container.remove();
  context.state.containers.delete(id);
  await start(context, { ...action, kind: "start" });
};

/** Books an id range; false when all are in use, and the start has to wait for one. */
export const bookSlot = (context: AgentContext, { allocation, spec }: ActionOf<"start" | "revive">): boolean => {
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

/**
 * Starts an allocation whose id range is booked. Its image is brought first, however long that takes: only what follows
 * is done a few at a time, so that slow registries hold up nobody else.
 */
export const start = async (context: AgentContext, { allocation, spec }: ActionOf<"start">): Promise<void> => {
  const image = await prepareImage(context, allocation, spec);
  await context.starts.run(NEVER, () => startPrepared(context, allocation, spec, image));
  const record = context.state.records.get(allocation.id);
  if (record?.state === "failed") await context.images.release(allocation.id);
};

const startPrepared = async (
  context: AgentContext,
  allocation: DesiredAllocation,
  spec: JobSpec,
  image: Result<PreparedImage, string>,
): Promise<void> => {
  const { id } = allocation;
  const lease = leaseForStart(context, id, spec);
  // Looked at again as soon as there is one.
  if (lease === "waits") return;
  const prepared = await prepare(context, allocation, spec, image, lease === "none" ? undefined : lease);
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
    if (!context.state.closing) await fail(context, id, berthError("runtime", messageOf(error)));
    return;
  } finally {
    cancel();
  }
  if (!result.ok) {
    if (context.state.closing) return;
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

const prepare = async (
  context: AgentContext,
  allocation: DesiredAllocation,
  spec: JobSpec,
  image: Result<PreparedImage, string>,
  lease: ContainerSpec["lease"],
): Promise<Prepared> => {
  const { files, journal, sealed, settings, state } = context;
  const record = state.records.get(allocation.id);
  if (record === undefined || record.slot === null) throw new Error(`${allocation.id} has no id range`);
  const refuse = (stage: string, detail: string): Prepared => ({ ok: false, error: berthError(stage, detail) });
  const idBase = idBaseOf(settings.ids, record.slot);
  try {
    await journal.saveRecord(record, { durable: true });
  } catch (error) {
    return refuse("journal", `cannot write the record of this allocation: ${messageOf(error)}`);
  }
  if (!image.ok) return refuse("image", image.error);
  if (spec.command.length === 0 && image.value.defaults.command.length === 0) {
    return refuse("image", `${spec.image} names no program: the job has to say what to run`);
  }
  const unsafe = isMachine(image.value, spec) ? refuseForMachine(spec) : undefined;
  if (unsafe !== undefined) return refuse("volume", unsafe);
  const volumes = await prepareVolumes(context, allocation, spec);
  if (!volumes.ok) return refuse("volume", volumes.error);
  const devices = settingsOf(allocation.devices ?? [], settings.devices);
  if (!devices.ok) return refuse("devices", devices.error);
  const secrets = secretsOf(spec, (key) => {
    // Of the document as it is now: a secret that was set again reaches whatever starts from then on.
    const found = state.document?.secrets?.[key];
    return found === undefined ? "absent" : (sealed.open(key, found) ?? "sealed");
  });
  if (!secrets.ok) return refuse("secrets", secrets.error);
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
      {
        id: allocation.id,
        image: image.value,
        idBase,
        outputRoot,
        volumes: volumes.value,
        ...(allocation.devices !== undefined && { devices: devices.value }),
        secrets: secrets.value,
        ...(lease === undefined ? {} : { lease }),
      },
    ),
  };
};

/** Directories of the volumes, by name; host paths are looked at as well. The error is a sentence. */
const prepareVolumes = async (
  { files, settings, volumes }: AgentContext,
  allocation: DesiredAllocation,
  spec: JobSpec,
): Promise<Result<ReadonlyMap<string, string>, string>> => {
  const directories = new Map<string, string>();
  try {
    for (const volume of spec.volumes) {
      if ("source" in volume) {
        const wrong =
          refuseHostPath(settings.hostPaths, allocation.project, volume) ?? (await files.checkVolume(volume.source));
        if (wrong !== undefined) return err(wrong);
        continue;
      }
      const name = volumeNameOf(volume.volume, allocation.index);
      const wanted = allocation.volumes?.find((one) => one.name === name);
      if (wanted === undefined) return err(`the volume ${name} is not bound to this host`);
      const directory = await volumes.ensure(wanted, { writes: !volume.readOnly });
      if (!directory.ok) return directory;
      directories.set(name, directory.value);
    }
  } catch (error) {
    return err(messageOf(error));
  }
  return ok(directories);
};

/** A pull may take minutes: whoever stops the task meanwhile does not wait for it. */
const prepareImage = async (
  context: AgentContext,
  allocation: DesiredAllocation,
  spec: JobSpec,
): Promise<Result<PreparedImage, string>> => {
  const stop = new AbortController();
  let cancel: () => void = () => undefined;
  const look = (): void => {
    const wanted = context.state.document?.allocations.some(
      ({ id, desired }) => id === allocation.id && desired === "run",
    );
    if (wanted === true) cancel = context.clock.after(STILL_WANTED_MS, look);
    else stop.abort();
  };
  cancel = context.clock.after(STILL_WANTED_MS, look);
  try {
    const slot = context.state.records.get(allocation.id)?.slot ?? null;
    if (slot === null) throw new Error(`${allocation.id} has no id range`);
    const idBase = idBaseOf(context.settings.ids, slot);
    // Of the document as it is now: what the name stands for since the last one holds for whatever starts from then on.
    const now = context.state.document?.allocations.find(({ id }) => id === allocation.id) ?? allocation;
    const { manifest } = now;
    return await context.images.prepare(spec.image, allocation.id, {
      ...{ signal: stop.signal, idBase },
      ...(manifest !== undefined && { manifest }),
    });
  } finally {
    cancel();
  }
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
