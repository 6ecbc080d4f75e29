/**
 * What is to be done, from three facts: what is desired, what the runtime has, and what the journal remembers. Pure and
 * level-triggered: it may be asked at any time, any number of times, and never relies on having seen an event.
 *
 * It never starts an allocation that has a container, an exit, or a record from which it may have run; it never starts
 * anything before the scheduler has confirmed in this life of the agent what it wants, because tasks of a host that was
 * silent may run elsewhere by now. The one exception is a machine that boots while it is cut off: what ran there and is
 * no singleton runs again. Without any document it stops nothing: not to know is not a wish.
 */
import {
  isTerminal,
  leaseTermsOf,
  type AllocationId,
  type DesiredAllocation,
  type DesiredDocument,
  type JobSpec,
} from "@berth/schema";
import { mayStart, type Grant } from "./lease.ts";
import type { ContainerFact } from "./container.ts";
import { specIn } from "./desired.ts";
import { isOrphan, type AllocationRecord, type StopCause } from "./record.ts";

export type Action =
  | { readonly kind: "start"; readonly allocation: DesiredAllocation; readonly spec: JobSpec }
  /** A running container whose record does not say so yet, is incomplete, or is missing. */
  | {
      readonly kind: "adopt";
      readonly id: AllocationId;
      readonly allocation: DesiredAllocation | undefined;
      readonly spec: JobSpec | undefined;
    }
  /** It runs, and may have other limits than its job has now. */
  | {
      readonly kind: "limit";
      readonly id: AllocationId;
      readonly allocation: DesiredAllocation;
      readonly spec: JobSpec;
    }
  /** It ended with its machine, which has come back cut off: it runs again under the same id. */
  | { readonly kind: "revive"; readonly allocation: DesiredAllocation; readonly spec: JobSpec }
  | { readonly kind: "stop"; readonly id: AllocationId; readonly cause: StopCause }
  /** The container has ended: collect, record, report. */
  | {
      readonly kind: "finish";
      readonly id: AllocationId;
      readonly allocation: DesiredAllocation | undefined;
      readonly spec: JobSpec | undefined;
    }
  /** It ends here without a container. */
  | {
      readonly kind: "settle";
      readonly id: AllocationId;
      readonly allocation: DesiredAllocation | undefined;
      readonly outcome: SettledOutcome;
    }
  /** The end is on record: the runtime may forget the container. */
  | { readonly kind: "release"; readonly id: AllocationId };

export type SettledOutcome = "never_started" | "vanished" | "spec_missing";

export interface Facts {
  readonly document: DesiredDocument | undefined;
  /** The scheduler has answered in this life of the agent. */
  readonly confirmed: boolean;
  readonly records: ReadonlyMap<AllocationId, AllocationRecord>;
  readonly containers: ReadonlyMap<AllocationId, ContainerFact>;
  /** It has not answered for so long since the start of this agent that it will not soon. */
  readonly cutOff: boolean;
  /** The newest lease, and the time now on the clock it counts on. */
  readonly grant: Grant | undefined;
  readonly boottimeMs: number;
  /** Something is being done for these: they are looked at again when it is done. */
  readonly busy: ReadonlySet<AllocationId>;
}

export interface Work {
  readonly actions: readonly Action[];
  /** When a run timeout will be due, from now; undefined when none is running. */
  readonly nextDueMs: number | undefined;
}

export const diff = (facts: Facts): Work => {
  const actions: Action[] = [];
  let nextDueMs: number | undefined;
  const wanted = new Map((facts.document?.allocations ?? []).map((allocation) => [allocation.id, allocation]));
  const ids = new Set([...wanted.keys(), ...facts.records.keys(), ...facts.containers.keys()]);
  for (const id of ids) {
    if (facts.busy.has(id)) continue;
    const allocation = wanted.get(id);
    const record = facts.records.get(id);
    const container = facts.containers.get(id);
    const action =
      container === undefined
        ? withoutContainer(facts, id, allocation, record)
        : withContainer(facts, id, allocation, record, container);
    if (action !== undefined) actions.push(action);
    if (
      action === undefined &&
      record !== undefined &&
      container?.phase === "running" &&
      record.runTimeoutMs !== null
    ) {
      const left = record.runTimeoutMs - container.runningForMs;
      nextDueMs = Math.min(nextDueMs ?? left, left);
    }
  }
  return { actions, nextDueMs };
};

/** The same for equal limits. */
export const limitsKey = ({ limits }: Pick<JobSpec, "limits">): string => JSON.stringify(limits);

/** What should become of it: nothing is concluded from an absent document. */
const wish = (facts: Facts, allocation: DesiredAllocation | undefined): "run" | "stop" | "unknown" =>
  facts.document === undefined ? "unknown" : (allocation?.desired ?? "stop");

const withoutContainer = (
  facts: Facts,
  id: AllocationId,
  allocation: DesiredAllocation | undefined,
  record: AllocationRecord | undefined,
): Action | undefined => {
  if (record !== undefined && isTerminal(record.state)) return undefined;
  const mayHaveRun = record !== undefined && (record.state === "running" || record.state === "stopping");
  if (mayHaveRun) return { kind: "settle", id, allocation, outcome: "vanished" };
  switch (wish(facts, allocation)) {
    case "unknown":
      return undefined;
    case "stop":
      return { kind: "settle", id, allocation, outcome: "never_started" };
    case "run": {
      if (!facts.confirmed || allocation === undefined) return undefined;
      const spec = specIn(facts.document, allocation);
      if (spec === undefined) return { kind: "settle", id, allocation, outcome: "spec_missing" };
      // A singleton waits for a lease that rests on this very document.
      if (!mayStart(spec, facts.document?.rev ?? 0, facts.grant, facts.boottimeMs)) return undefined;
      return { kind: "start", allocation, spec };
    }
  }
};

const withContainer = (
  facts: Facts,
  id: AllocationId,
  allocation: DesiredAllocation | undefined,
  record: AllocationRecord | undefined,
  container: ContainerFact,
): Action | undefined => {
  const isOver = record !== undefined && isTerminal(record.state);
  // Told to have ended, and yet it runs: a start that seemed to fail. It must not go on unseen.
  if (isOver && container.phase === "running") return { kind: "stop", id, cause: "stopped" };
  if (isOver) return { kind: "release", id };
  const spec = specIn(facts.document, allocation);
  if (container.phase === "ended") {
    const isWaiting = container.exit.cause === "host_rebooted" && !facts.confirmed && allocation?.desired === "run";
    // The leader may answer any moment; if it does not, the last thing that it wanted still holds. Singletons may run
    // elsewhere by now.
    if (!isWaiting || spec === undefined || leaseTermsOf(spec) !== null)
      return { kind: "finish", id, allocation, spec };
    return facts.cutOff ? { kind: "revive", allocation, spec } : undefined;
  }
  const isKnown = record !== undefined && (record.state === "running" || record.state === "stopping");
  const isCompletable = record !== undefined && isOrphan(record) && spec !== undefined;
  if (!isKnown || isCompletable) return { kind: "adopt", id, allocation, spec };
  if (record.stopCause !== null) return { kind: "stop", id, cause: record.stopCause };
  if (wish(facts, allocation) === "stop") return { kind: "stop", id, cause: "stopped" };
  if (record.runTimeoutMs !== null && container.runningForMs >= record.runTimeoutMs)
    return { kind: "stop", id, cause: "timeout" };
  if (allocation !== undefined && spec !== undefined && container.limits !== limitsKey(spec))
    return { kind: "limit", id, allocation, spec };
  return undefined;
};
