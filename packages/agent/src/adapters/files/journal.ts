/**
 * The journal on disk: one file for the last desired document (and the one before it), one for the fence, one record in
 * the directory of each allocation. A damaged document is never acted on: with an older one in its place the agent would
 * stop what was placed since. It only keeps the version below which nothing is accepted; the scheduler sends the rest.
 */
import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Type, AllocationIdSchema, decoder, SignedSchema, type AllocationId, type Signed } from "@berth/schema";
import { NO_VERSION, type Version } from "../../core/accept.ts";
import { decodeRecord, type AllocationRecord } from "../../core/record.ts";
import type { Journal, LoadedDesired } from "../../ports/journal.ts";
import type { Log } from "../../ports/log.ts";
import { isMissing, readSealed, syncDirectory, writeSealed } from "./atomic-file.ts";
import type { Layout } from "./layout.ts";

const whole = Type.Integer({ minimum: 0 });
const DesiredFileSchema = Type.Object({
  version: Type.Literal(1),
  epoch: whole,
  rev: whole,
  document: SignedSchema,
});
const decodeDesiredFile = decoder(DesiredFileSchema);
const decodeFence = decoder(Type.Object({ version: Type.Literal(1), epoch: whole }));
const decodeId = decoder(AllocationIdSchema);

export const openJournal = async (layout: Layout, log: Log): Promise<Journal> => {
  for (const directory of [layout.root, layout.allocations, layout.outputs]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  }
  const inOrder = new Map<string, Promise<void>>();
  /** Runs after what is still under way for the same key, whether that worked or not. */
  const ordered = async (key: string, work: () => Promise<void>): Promise<void> => {
    const before = inOrder.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    inOrder.set(key, mine);
    try {
      await mine;
    } finally {
      if (inOrder.get(key) === mine) inOrder.delete(key);
    }
  };

  return {
    loadDesired: () => loadDesired(layout, log),
    saveDesired: (document, version) => ordered("desired", () => saveDesired(layout, document, version)),
    saveFence: (epoch) => ordered("fence", () => writeSealed(layout.fence, { version: 1, epoch }, { durable: true })),
    loadRecords: async () => {
      const records: AllocationRecord[] = [];
      const unreadable: AllocationId[] = [];
      for (const name of await readdir(layout.allocations)) {
        const id = decodeId(name);
        if (!id.ok) continue;
        const found = await readSealed(layout.record(id.value));
        // The record is the first thing that is written: without one nothing was begun.
        if (found.kind === "absent") continue;
        const record = found.kind === "value" ? decodeRecord(found.value) : undefined;
        if (record?.ok === true && record.value.id === id.value) records.push(record.value);
        else {
          log.error({ allocationId: id.value, file: layout.record(id.value) }, "journal.record_damaged");
          unreadable.push(id.value);
        }
      }
      return { records, unreadable };
    },
    saveRecord: (record, options) =>
      ordered(record.id, async () => {
        try {
          await writeSealed(layout.record(record.id), record, options);
        } catch (error) {
          if (!isMissing(error)) throw error;
          await mkdir(layout.allocation(record.id), { recursive: true, mode: 0o700 });
          if (options.durable) await syncDirectory(layout.allocations);
          await writeSealed(layout.record(record.id), record, options);
        }
      }),
    forget: (id) =>
      ordered(id, async () => {
        await rm(layout.keptOutputs(id), { recursive: true, force: true });
        // The record goes last, by a rename that takes the whole directory away at once: half of it would look damaged.
        const grave = `${layout.allocation(id)}.forgotten`;
        await rm(grave, { recursive: true, force: true });
        try {
          await rename(layout.allocation(id), grave);
        } catch (error) {
          if (!isMissing(error)) throw error;
        }
        await rm(grave, { recursive: true, force: true });
      }),
  };
};

/** Deletes what an agent that was killed in the middle of a write or of forgetting left behind. */
export const sweepLeftovers = async (layout: Layout): Promise<void> => {
  for (const name of await readdir(layout.root)) {
    if (name.endsWith(".tmp")) await rm(join(layout.root, name), { force: true });
  }
  for (const name of await readdir(layout.allocations)) {
    const path = join(layout.allocations, name);
    if (name.endsWith(".forgotten")) {
      await rm(path, { recursive: true, force: true });
      continue;
    }
    if (!decodeId(name).ok) continue;
    for (const file of await readdir(path)) {
      if (file.endsWith(".tmp")) await rm(join(path, file), { force: true });
    }
  }
};

const loadDesired = async (layout: Layout, log: Log): Promise<LoadedDesired> => {
  const fenceFile = await readSealed(layout.fence);
  const fence = fenceFile.kind === "value" ? decodeFence(fenceFile.value) : undefined;
  if (fenceFile.kind === "damaged") log.error({ file: layout.fence }, "journal.fence_damaged");
  const [current, previous] = await Promise.all([readDesired(layout.desired), readDesired(layout.previousDesired)]);
  if (current === "damaged") log.error({ file: layout.desired }, "journal.desired_damaged");
  const newest = isFile(current) ? current : isFile(previous) ? previous : undefined;
  const floor: Version = newest === undefined ? NO_VERSION : { epoch: newest.epoch, rev: newest.rev };
  return {
    document: isFile(current) ? current.document : undefined,
    floor,
    fence: Math.max(floor.epoch, fence?.ok === true ? fence.value.epoch : 0),
  };
};

interface DesiredFile extends Version {
  readonly document: Signed;
}

const isFile = (found: DesiredFile | "absent" | "damaged"): found is DesiredFile => typeof found === "object";

const readDesired = async (path: string): Promise<DesiredFile | "absent" | "damaged"> => {
  const found = await readSealed(path);
  if (found.kind !== "value") return found.kind;
  const decoded = decodeDesiredFile(found.value);
  return decoded.ok ? decoded.value : "damaged";
};

const saveDesired = async (layout: Layout, document: Signed, version: Version): Promise<void> => {
  try {
    const temporary = `${layout.previousDesired}.tmp`;
    await copyFile(layout.desired, temporary);
    await rename(temporary, layout.previousDesired);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  await writeSealed(
    layout.desired,
    { version: 1, epoch: version.epoch, rev: version.rev, document },
    { durable: true },
  );
};
