/** Which host could be lost now, and what would not fit elsewhere. Each host by itself, as if no other were lost with it. */
import { taskName, type HostLosses } from "@berth/schema";
import { explainRequest } from "./explain.ts";
import { close, copyOf, lastingOn, reopen } from "./hypothesis.ts";
import { placeTask, wantingOf } from "./place-task.ts";
import type { ClusterState, MutableHost, MutableState } from "./state.ts";
import { tentatively } from "./tentative.ts";

type HostLoss = HostLosses["hosts"][number];

const lossOf = (copy: MutableState, host: MutableHost): HostLoss => {
  // Daemons go with their host.
  const lasting = lastingOn(copy, host).filter(({ spec }) => spec.kind !== "daemon");
  let stranded = 0;
  let sentence: string | null = null;
  close(copy, host);
  tentatively(copy.index, (tentative) => {
    for (const { id, key, project, job: name, index } of lasting) {
      const job = copy.jobs.get(key);
      if (job === undefined) continue;
      const wanting = wantingOf(job, index, id);
      if (placeTask(copy, tentative, wanting, "place").chosen !== undefined) continue;
      stranded += 1;
      sentence ??= explainRequest(copy, tentative, wanting, `${project}/${taskName(name, index)}`, "look").sentence;
    }
  });
  reopen(copy, host);
  return { host: host.id, tasks: lasting.length, stranded, sentence };
};

/**
 * One host with work at a time, in the order of ids. Copies the state when it begins; each step then costs its tasks and,
 * where there are rules of placement, a look at all hosts.
 */
export function* hostLosses(state: ClusterState, nowMs: number): Generator<HostLoss> {
  const copy = copyOf(state, nowMs);
  const hosts = [...copy.hosts.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const host of hosts) if (host.capacity !== null && host.state !== "lost") yield lossOf(copy, host);
}
