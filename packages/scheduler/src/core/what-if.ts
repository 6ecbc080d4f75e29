/**
 * What would happen if hosts were lost, emptied or added, or if there were more to run. The change is made in a copy, with
 * the records that would tell of it, and the planner of every day says what follows, and what follows of that: see aftermath.ts.
 */
import {
  err,
  jobKey,
  MAX_WHAT_IF_TASKS,
  ok,
  problem,
  taskName,
  type AllocationId,
  type HostId,
  type LogRecord,
  type Problem,
  type Result,
  type WhatIfRequest,
  type WhatIfView,
} from "@berth/schema";
import { endingIn, EVERYTHING, followUp, leftBy, taskKey, type Aftermath } from "./aftermath.ts";
import { explainRequest, explainTask } from "./explain.ts";
import type { Explained } from "./sentences.ts";
import { close, copyOf, lastingOn, suppose } from "./hypothesis.ts";
import { placeTask, setAside, wantingOf, type Wanting } from "./place-task.ts";
import { planOn, type PlanEnv } from "./plan.ts";
import { keyOf, plannedOf } from "./planned-task.ts";
import type { RequestClass } from "./request-class.ts";
import type { AllocationRecord, ClusterState, MutableAllocation, MutableHost, MutableState } from "./state.ts";
import { tentatively, type Tentative } from "./tentative.ts";
import { usesOf } from "./volumes.ts";

type Placed = WhatIfView["placed"][number];
type Blocked = WhatIfView["blocked"][number];

const noHost = (id: HostId): Problem => problem("host.not_found", `there is no host ${id}; see berth hosts`);

const hostsOf = (copy: MutableState, ids: readonly HostId[]): Result<MutableHost[], Problem> => {
  const hosts: MutableHost[] = [];
  for (const id of new Set(ids)) {
    const host = copy.hosts.get(id);
    if (host === undefined) return err(noHost(id));
    hosts.push(host);
  }
  return ok(hosts);
};

/** The records of hosts that are like known ones and run nothing; their names are ones that nobody has. */
const newHosts = (copy: MutableState, add: NonNullable<WhatIfRequest["add"]>): Result<LogRecord[], Problem> => {
  const records: LogRecord[] = [];
  let number = 0;
  for (const { like, count } of add) {
    const model = copy.hosts.get(like);
    if (model === undefined) return err(noHost(like));
    const { inventory, capacity, session, bootId, publicKey } = model;
    if (inventory === null || capacity === null || session === null || bootId === null) {
      return err(problem("host.not_found", `host ${like} has not said yet what it has`));
    }
    for (let made = 0; made < count; made += 1) {
      let hostId = `what-if-${(number += 1)}` as HostId;
      while (copy.hosts.has(hostId)) hostId = `what-if-${(number += 1)}` as HostId;
      records.push({ kind: "host_enrolled", hostId, publicKey, by: "what-if" });
      records.push({ kind: "host_registered", hostId, session, bootId, inventory, capacity });
    }
  }
  return ok(records);
};

/** Lists what it is given up to the bound, and counts all. */
const listed = <T>() => {
  const items: T[] = [];
  let total = 0;
  return {
    items,
    total: () => total,
    add: (make: () => T): void => {
      total += 1;
      if (items.length < MAX_WHAT_IF_TASKS) items.push(make());
    },
  };
};

interface Moved {
  readonly homeless: readonly AllocationRecord[];
  readonly leaving: readonly AllocationRecord[];
  readonly after: Aftermath;
  readonly made: readonly LogRecord[];
}

type Subject = Omit<Placed, "to">;

const subjectOf = ({ project, job, index }: Subject): string =>
  `${project}/${index === null ? `${job} (one more)` : taskName(job, index)}`;

/** Where a task with volumes may go depends on more than its class. */
const isPlain = ({ spec, index }: Wanting): boolean => usesOf(spec, index).length === 0;

/** Answers for tasks one after another; of each class the first that fits nowhere is explained, and no other is tried. */
const createBlockedClasses = (copy: MutableState, tentative: Tentative) => {
  const known = new Set<RequestClass>();
  return {
    isBlocked: (wanting: Wanting): boolean => isPlain(wanting) && known.has(wanting.requestClass),
    /** `ask`: for whom something else than room may be in the way. */
    explain: (wanting: Wanting, subject: string, ask?: () => Explained): Explained => {
      if (isPlain(wanting) && known.has(wanting.requestClass)) {
        return {
          sentence: `${subject} fits nowhere either`,
          outcome: { kind: "blocked", hosts: [], unblockedBy: [] },
        };
      }
      const explained = ask?.() ?? explainRequest(copy, tentative, wanting, subject, "look");
      if (isPlain(wanting) && explained.outcome.kind === "blocked") known.add(wanting.requestClass);
      return explained;
    },
  };
};

const answer = (
  copy: MutableState,
  tentative: Tentative,
  request: WhatIfRequest,
  env: PlanEnv,
  { after, homeless, leaving, made }: Moved,
): Omit<WhatIfView, "revision"> => {
  const [placed, blocked, finish] = [listed<Placed>(), listed<Blocked>(), listed<AllocationId>()];
  const used = new Set<HostId>();
  const told = new Set<string>();
  const victims: MutableAllocation[] = [];
  const classes = createBlockedClasses(copy, tentative);

  const place = (task: Subject, to: HostId): void => {
    used.add(to);
    placed.add(() => ({ ...task, to }));
  };
  const block = (wanting: Wanting, task: Subject, ask?: () => Explained): void => {
    const { sentence, outcome } = classes.explain(wanting, subjectOf(task), ask);
    blocked.add(() => ({ ...task, sentence, outcome }));
  };
  const settle = (wanting: Wanting, task: Subject): void => {
    const chosen = classes.isBlocked(wanting) ? undefined : placeTask(copy, tentative, wanting, "place").chosen;
    if (chosen === undefined) block(wanting, task);
    else place(task, chosen.hostId);
  };

  for (const { to, ...task } of after.placed.values()) place(task, to);
  /** What is left after so many plans. */
  const tell = (record: LogRecord): void => {
    const planned = plannedOf(record);
    if (planned === null) return;
    const { hostId, index, job, project } = planned;
    for (const id of "victims" in planned ? planned.victims : []) {
      const victim = copy.allocations.get(id);
      if (victim !== undefined) victims.push(victim);
    }
    // With the room of less important work it starts as soon as that has ended.
    told.add(taskKey(keyOf(planned), index));
    place({ project, job, index, from: leftBy(copy, record) }, hostId);
  };
  planOn(copy, tentative, env, EVERYTHING, ({ records }, serving) => {
    records.forEach(tell);
    const gone = [
      ...homeless.map(({ hostId: from, id, index, job, project }) => ({ project, job, index, from, id })),
      ...[...after.stopped.values()].map((task) => ({ ...task, id: null })),
    ];
    for (const { id, ...one } of gone) {
      const job = copy.jobs.get(jobKey(one.project, one.job));
      const task = job?.tasks[one.index];
      const name = taskKey(jobKey(one.project, one.job), one.index);
      // What waited before all this is not asked about.
      if (job === undefined || one.from === null || told.has(name) || after.placed.has(name)) continue;
      told.add(name);
      const isIts = task !== undefined && (task.active === id || task.active === null);
      const why = isIts ? () => explainTask(copy, tentative, job, task, env.nowMs, serving) : undefined;
      block(wantingOf(job, one.index, id), one, why);
    }
  });
  // Their room is somebody's by now; where they go themselves is part of what follows.
  for (const { id } of victims) setAside(copy, tentative, id);
  for (const { key, project, job: name, index, hostId, jobVersion } of victims) {
    const job = copy.jobs.get(key);
    if (job === undefined || job.version !== jobVersion || job.desired === "stop") continue;
    settle(wantingOf(job, index, null), { project, job: name, index, from: hostId });
  }
  for (const { id, key, project, job: name, index, hostId } of leaving) {
    const job = copy.jobs.get(key);
    // What was stopped with the rest of its gang is told of already.
    if (job === undefined || after.stopped.has(taskKey(key, index))) continue;
    // A daemon belongs to its host, and ends with it.
    if (job.spec.kind !== "service") finish.add(() => id);
    else settle(wantingOf(job, index, id), { project, job: name, index, from: hostId });
  }
  for (const { project, job: name, count } of request.more ?? []) {
    const job = copy.jobs.get(jobKey(project, name));
    for (let one = 0; job !== undefined && one < count; one += 1) {
      settle(wantingOf(job, job.spec.count + one, null), { project, job: name, index: null, from: null });
    }
  }

  const gone = new Set<HostId>([...(request.lose ?? []), ...(request.drain ?? [])]);
  const open = [...copy.hosts.values()].filter((host) => host.state === "ready" && !gone.has(host.id));
  const empty = open.filter((host) => host.allocations.length === 0 && !used.has(host.id));
  return {
    added: made.flatMap((record) => (record.kind === "host_enrolled" ? [record.hostId] : [])),
    ...{ placed: placed.items, blocked: blocked.items, finish: finish.items },
    totals: { placed: placed.total(), blocked: blocked.total(), finish: finish.total() },
    hosts: { open: open.length, empty: empty.length },
  };
};

/** Costs a copy of the state, and some plans of everything that waits in it, the last of which finds nothing more to do. */
export const whatIf = (state: ClusterState, request: WhatIfRequest, env: PlanEnv): Result<WhatIfView, Problem> => {
  const copy = copyOf(state, env.nowMs);
  const lost = hostsOf(copy, request.lose ?? []);
  if (!lost.ok) return lost;
  const drained = hostsOf(copy, request.drain ?? []);
  if (!drained.ok) return drained;
  const made = newHosts(copy, request.add ?? []);
  if (!made.ok) return made;
  for (const { project, job } of request.more ?? []) {
    const known = copy.jobs.get(jobKey(project, job));
    if (known === undefined) {
      return err(problem("job.not_found", `there is no job ${project}/${job}; berth plan FILE tries one that is new`));
    }
    if (known.daemon !== null) {
      const detail = `${project}/${job} is a daemon: it has more tasks when there are more hosts, see --add`;
      return err(problem("request.invalid", detail));
    }
  }
  const homeless = lost.value.flatMap((host) => lastingOn(copy, host)).filter(({ spec }) => spec.kind !== "daemon");
  const leaving = drained.value.flatMap((host) => lastingOn(copy, host));
  // For good: whoever has patience of its own has lost it by then.
  const silentMs = Number.MAX_SAFE_INTEGER;
  const losses = lost.value.map(({ id }): LogRecord => ({ kind: "host_lost", hostId: id, silentMs }));
  const ending = endingIn(copy);
  suppose(copy, [...made.value, ...losses], env.nowMs);
  const after = followUp(copy, ending, new Set(drained.value.map(({ id }) => id)), env);
  for (const host of drained.value) close(copy, host);
  const given = { after, homeless, leaving, made: made.value };
  const found = tentatively(copy.index, (tentative) => answer(copy, tentative, request, env, given));
  return ok({ revision: state.revision, ...found });
};
