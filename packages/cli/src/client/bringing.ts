/** Images that hosts bring for the tasks of a job, looked at while some of it is being prepared. */
import { setTimeout as sleep } from "node:timers/promises";
import { decoder, ImageBringingSchema, routePath, Routes, type JobView } from "@berth/schema";
import { Failure } from "../failure.ts";
import type { Followed } from "../output/layers.ts";
import type { Client } from "./client.ts";
import { listAllocations } from "./queries.ts";

const decode = decoder(ImageBringingSchema);
const LOOK_MS = 500;
/** One of each host, since a host brings an image once; more are no help to anybody. */
const MAX_HOSTS = 4;
const WAITING: ReadonlySet<string> = new Set(["placed", "preparing", "starting"]);

/** What is brought for it now, host by host; nothing when nobody can say it. */
const lookAt = async (client: Client, { name, project }: JobView, signal: AbortSignal): Promise<Followed[]> => {
  const { items } = await listAllocations(client, { project, job: name }, { signal });
  const byHost = new Map<string, string>();
  for (const { hostId, id, state } of items) if (WAITING.has(state)) byHost.set(hostId, id);
  const found = await Promise.all(
    [...byHost].slice(0, MAX_HOSTS).map(async ([host, allocation]): Promise<Followed | undefined> => {
      const path = routePath(Routes.allocationImage, { allocation });
      const { value } = await client.get(decode, path, { signal, patienceMs: 0 });
      if (value.layers.length === 0) return undefined;
      return { host, operation: { kind: "pull", state: "running", layers: value.layers } };
    }),
  );
  return found.filter((one) => one !== undefined);
};

/**
 * Calls `show` now and then while some task of the job starts, with nothing once none is brought any more. Ends with
 * `signal`; never rejects: it is only shown.
 */
export const followBringing = async (
  client: Client,
  job: () => JobView,
  show: (followed: readonly Followed[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> => {
  let shown = false;
  while (!signal.aborted) {
    try {
      await sleep(LOOK_MS, undefined, { signal });
      const found = job().tasks.starting === 0 ? [] : await lookAt(client, job(), signal);
      if (found.length > 0 || shown) await show(found);
      shown = found.length > 0;
    } catch (error) {
      // Gone, unknown to an older scheduler, or not to be had now.
      if (!(error instanceof Failure) && !signal.aborted) throw error;
    }
  }
};
