/**
 * Ends every container of a data directory whose agent is not running: what `down` does last. The ends stay on record as
 * "stopped", and the next agent of this directory reports them.
 */
import { access } from "node:fs/promises";
import { openRuntime } from "@berth/native";
import { openJournal } from "./adapters/files/journal.ts";
import { layoutOf } from "./adapters/files/layout.ts";
import { recallSettings } from "./adapters/files/settings.ts";
import { advance } from "./core/record.ts";
import type { Log } from "./ports/log.ts";
import type { AdoptedContainer } from "./ports/runtime.ts";

/** Nobody wants to wait longer for a machine to become quiet. */
const LONGEST_GRACE_MS = 10_000;

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Returns how many were running. Rejects when the agent of this directory still runs. */
export const stopAllContainers = async (dataDir: string): Promise<number> => {
  const layout = layoutOf(dataDir);
  const settings = await recallSettings(layout);
  if (settings === undefined || !(await exists(layout.runtime))) return 0;
  const runtime = await openRuntime({ stateDir: layout.runtime, cgroupParent: settings.cgroupParent });
  try {
    const journal = await openJournal(layout, silent);
    const records = new Map((await journal.loadRecords()).records.map((record) => [record.id as string, record]));
    const found: readonly AdoptedContainer[] = await runtime.adopt();
    const running = found.filter((container) => container.kind === "running");
    await Promise.all(
      running.map(async ({ container, id }) => {
        const record = records.get(id);
        // Before the stop: whoever reads the end afterwards must know whose doing it was.
        if (record !== undefined) {
          const stopping = {
            ...advance(record, "stopping", { reason: "stop_requested" }),
            stopCause: record.stopCause ?? ("stopped" as const),
          };
          await journal.saveRecord(stopping, { durable: false });
        }
        await container.stop({
          graceMs: Math.min(record?.stopTimeoutMs ?? LONGEST_GRACE_MS, LONGEST_GRACE_MS),
        });
      }),
    );
    return running.length;
  } finally {
    await runtime.close({ removeCgroups: true });
  }
};

const exists = async (path: string): Promise<boolean> => {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
};
