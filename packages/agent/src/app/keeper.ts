/**
 * Now and then: lets go of images that no allocation holds any more and keeps their store below its marks; writes down ends that could not be written when they happened, and forgets finished allocations and their
 * files by the rules of core/retention.ts.
 */
import type { AllocationId } from "@berth/schema";
import { isFinished } from "../core/record.ts";
import { toForget } from "../core/retention.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";

const EVERY_MS = 60_000;
/** Ends of many containers are counted together. */
const SOON_MS = 1_000;

export interface Keeper {
  /** Something was kept: sizes are looked at before the next turn. */
  readonly soon: () => void;
  readonly close: () => void;
}

export const createKeeper = (getContext: () => AgentContext): Keeper => {
  let closed = false;
  let cancel: () => void = () => undefined;

  const sweep = async (): Promise<void> => {
    const { clock, journal, log, settings, state } = getContext();
    for (const id of state.unsaved) {
      const record = state.records.get(id);
      if (record !== undefined) await journal.saveRecord(record, { durable: true });
      state.unsaved.delete(id);
    }
    const listed = new Set(state.document?.allocations.map((allocation) => allocation.id));
    const keep = (id: string): boolean => state.document === undefined || (listed as ReadonlySet<string>).has(id);
    for (const id of toForget(
      state.records.values(),
      (candidate) => keep(candidate) || state.containers.has(candidate),
      clock.nowMs(),
      settings.retention,
    )) {
      if (closed) return;
      await journal.forget(id);
      state.records.delete(id);
      state.unsaved.delete(id);
      log.info({ allocationId: id }, "allocation.forgotten");
    }
  };

  /** What ended containers wrote goes before images do: an image may be needed for the next start. */
  const dropLayers = async (): Promise<void> => {
    const { clock, images, kept, log } = getContext();
    for (const id of await kept.drop(clock.nowMs(), await images.excess())) {
      await images.release(id);
      log.info({ allocationId: id }, "allocation.layer_dropped");
    }
  };
  /** One after the other: what is dropped by one is not counted by another. */
  let dropping: Promise<void> = Promise.resolve();
  const dropInTurn = (): Promise<void> => (dropping = dropping.then(dropLayers, dropLayers));
  const keepLayers = async (): Promise<void> => {
    await dropInTurn();
    await getContext().kept.flush();
  };
  let cancelSoon: (() => void) | undefined;
  const soon = (): void => {
    if (closed || cancelSoon !== undefined) return;
    const { clock, log } = getContext();
    cancelSoon = clock.after(SOON_MS, () => {
      cancelSoon = undefined;
      dropInTurn().catch((error: unknown) => log.error({ error: errorFields(error) }, "keeper.failed"));
    });
  };

  /** Of allocations that ended without the agent: killed with the machine, or in a former life. */
  const keepImages = async (): Promise<void> => {
    const { images, kept, log, state } = getContext();
    for (const holder of images.holders()) {
      const id = holder as AllocationId;
      const record = state.records.get(id);
      const isOver = !state.containers.has(id) && (record === undefined || isFinished(record));
      if (isOver) await (kept.get(id) === undefined ? images.release(holder) : images.unmount(holder));
    }
    const freedBytes = await images.collect();
    if (freedBytes > 0) log.info({ freedBytes }, "images.collected");
  };

  const schedule = (): void => {
    cancel = getContext().clock.after(EVERY_MS, () => {
      Promise.all([sweep(), keepLayers().then(keepImages)])
        .catch((error: unknown) => getContext().log.error({ error: errorFields(error) }, "keeper.failed"))
        .finally(() => {
          if (!closed) schedule();
        })
        .catch(() => undefined);
    });
  };
  schedule();
  return {
    soon,
    close: () => {
      closed = true;
      cancelSoon?.();
      cancel();
    },
  };
};
