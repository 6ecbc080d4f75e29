/** A copy of the state that may be changed freely: the ground of every question that begins with “what if”. */
import { LOG_VERSION, noResources, type LogRecord } from "@berth/schema";
import { byId } from "./allocations-on.ts";
import { attributesOf } from "./attributes.ts";
import { toVector } from "./feasibility.ts";
import { fold } from "./fold.ts";
import { describeHost } from "./granted.ts";
import { imageOf, restoreImage, type ImageLine } from "./image.ts";
import {
  createState,
  inside,
  type AllocationRecord,
  type ClusterState,
  type MutableHost,
  type MutableState,
} from "./state.ts";

/** As of `nowMs`. Costs O(state): for an operator's question, not for a loop. */
export const copyOf = (state: ClusterState, nowMs: number): MutableState => {
  const copy = createState();
  restoreImage(copy, JSON.parse(JSON.stringify([...imageOf(state)])) as ImageLine[]);
  const mutable = inside(copy);
  mutable.index.setNow(nowMs);
  return mutable;
};

/** Makes records true in a copy, as if its leader had written them now. */
export const suppose = (copy: MutableState, records: readonly LogRecord[], nowMs: number): void => {
  if (records.length === 0) return;
  fold(copy, copy.revision + 1, {
    ...{ version: LOG_VERSION, epoch: copy.epoch, atMs: nowMs },
    ...{ cause: "what_if", origin: null, records: [...records] },
  });
};

/** From here on the packer gives nothing to this host. */
export const close = (copy: MutableState, host: MutableHost): void =>
  copy.index.setHost(host.slot, toVector(copy.dimensions, noResources()), false, attributesOf(host));

/** As the log says that it is. */
export const reopen = (copy: MutableState, host: MutableHost): void => describeHost(copy, host);

/** What runs on a host and should go on, in the order of ids. */
export const lastingOn = (copy: MutableState, host: MutableHost): AllocationRecord[] =>
  host.allocations.filter(({ desired, key }) => desired === "run" && copy.jobs.has(key)).sort(byId);
