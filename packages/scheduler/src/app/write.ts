/** The two steps that most changes of an operator are made of: records into the log, and, for hosts, word to the bus. */
import { err, ok, problem, type LogRecord, type Origin, type Problem, type Result } from "@berth/schema";
import { wasDone, type ClusterState, type Need } from "../core/index.ts";
import type { Admission } from "../ports/admission.ts";
import type { Engine } from "./engine.ts";

/**
 * If whoever asks may: appends what `decide` makes of the state as it is then, as one transaction; resolves to its
 * revision. What a request has done already, whose answer was lost with a leader, is not decided again.
 */
export const writeRecords = async (
  engine: Engine,
  cause: string,
  origin: Origin,
  need: Need | null,
  decide: (now: ClusterState) => Result<LogRecord[], Problem>,
): Promise<Result<number, Problem>> => {
  const done = await engine.submit({
    cause,
    origin,
    need,
    splittable: false,
    decide: (now) => {
      if (wasDone(now, cause, origin)) return ok({ records: [], value: undefined });
      const records = decide(now);
      return records.ok ? ok({ records: records.value, value: undefined }) : records;
    },
  });
  return done.ok ? ok(done.value.revision) : done;
};

/** Tells the bus which hosts there are. It is in the log already: a failure is told by `detail`, and undoes nothing. */
export const tellBus = async (
  admission: Admission,
  state: ClusterState,
  detail: (why: string) => string,
  more: { readonly retryAfterMs?: number } = {},
): Promise<Result<undefined, Problem>> => {
  try {
    await admission.admit([...state.hosts.values()]);
    return ok(undefined);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return err(problem("cluster.unreachable", detail(why), more));
  }
};
