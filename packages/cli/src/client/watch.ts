/**
 * Following one job: a long poll that answers when the job has changed, through restarts of the scheduler. Pauses
 * between answers are bounded from below, so that a busy array does not turn one watcher into a flood of requests.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isTerminalJob } from "../output/progress-text.ts";
import type { JobView } from "@berth/schema";
import type { Failure } from "../failure.ts";
import type { Client } from "./client.ts";
import { getJob, type JobRef } from "./queries.ts";

const WAIT_MS = 20_000;
const PAUSE_MS = 150;
/** When the server does not say which revision it answered with. */
const BLIND_PAUSE_MS = 1_000;
/** Longer than any failover: after this the cluster is gone as far as a waiting person is concerned. */
const OUTAGE_MS = 120_000;

export interface WatchOptions {
  readonly signal: AbortSignal;
  readonly onOutage: (failure: Failure) => void;
}

/** Every state of the job that is seen, the present one first, until it is finished. */
export async function* watchJob(client: Client, ref: JobRef, options: WatchOptions): AsyncGenerator<JobView> {
  let revision: number | undefined;
  for (;;) {
    const answer = await getJob(client, ref, {
      query: revision === undefined ? {} : { wait: `${WAIT_MS / 1000}s`, revision },
      waitMs: revision === undefined ? 0 : WAIT_MS,
      bridge: true,
      patienceMs: OUTAGE_MS,
      signal: options.signal,
      onOutage: options.onOutage,
    });
    yield answer.value;
    if (isTerminalJob(answer.value)) return;
    revision = answer.revision;
    await sleep(revision === undefined ? BLIND_PAUSE_MS : PAUSE_MS, undefined, { signal: options.signal });
  }
}
