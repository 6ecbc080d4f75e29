/** What operators ask of hosts: close, open, empty, remove. */
import {
  ok,
  type DrainPlan,
  type HostId,
  type HostView,
  type LogRecord,
  type Origin,
  type Problem,
  type Removed,
  type Result,
} from "@berth/schema";
import {
  decideCordon,
  decideDraining,
  decideRemove,
  decideUncordon,
  drainPlan,
  type ClusterState,
} from "../core/index.ts";
import type { Admission } from "../ports/admission.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine } from "./engine.ts";
import { tellBus, writeRecords } from "./write.ts";

type Answer<T> = Promise<Result<T, Problem>>;
type Decide = (now: ClusterState) => Result<LogRecord[], Problem>;

export interface HostDuties {
  readonly cordon: (id: HostId, origin: Origin) => Answer<HostView>;
  readonly uncordon: (id: HostId, origin: Origin) => Answer<HostView>;
  /** What is left after `deadlineMs` is stopped. */
  readonly drain: (id: HostId, deadlineMs: number, origin: Origin) => Answer<HostView>;
  readonly drainPlan: (id: HostId, deadlineMs: number) => Result<DrainPlan, Problem>;
  /** Its key is revoked with it: it cannot connect any more. */
  readonly removeHost: (id: HostId, force: boolean, origin: Origin) => Answer<Removed>;
}

export const createHostDuties = (options: {
  readonly engine: Engine;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly view: (id: HostId) => Result<HostView, Problem>;
}): HostDuties => {
  const { engine, admission, clock, view } = options;

  const change = async (cause: string, id: HostId, origin: Origin, decide: Decide): Answer<HostView> => {
    const done = await writeRecords(engine, cause, origin, { role: "operator" }, decide);
    return done.ok ? view(id) : done;
  };

  return {
    cordon: (id, origin) => change("cordon", id, origin, (now) => decideCordon(now, id, origin.who)),
    uncordon: (id, origin) => change("uncordon", id, origin, (now) => decideUncordon(now, id, origin.who)),
    drain: (id, deadlineMs, origin) =>
      change("drain", id, origin, (now) => decideDraining(now, id, origin.who, clock.nowMs() + deadlineMs)),
    drainPlan: (id, deadlineMs) => {
      const host = view(id);
      return host.ok ? ok(drainPlan(engine.state, id, deadlineMs, clock.nowMs())) : host;
    },
    removeHost: async (id, force, origin) => {
      let allocations = 0;
      const done = await writeRecords(engine, "host removal", origin, { role: "operator" }, (now) => {
        allocations = now.hosts.get(id)?.allocations.length ?? 0;
        return decideRemove(now, id, origin.who, force);
      });
      if (!done.ok) return done;
      const told = await tellBus(
        admission,
        engine.state,
        (why) =>
          `host ${id} is removed, but the bus has not taken its key away yet (${why}); it does at its next start`,
      );
      if (!told.ok) return told;
      return ok({ host: id, allocations, revision: done.value });
    },
  };
};
