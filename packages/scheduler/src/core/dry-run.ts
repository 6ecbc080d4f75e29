/** What running a document would do now, down to the host of each task. Nothing is changed. */
import {
  jobKey,
  ok,
  taskName,
  VOLUME_SIZES_NOT_ENFORCED,
  type JobSpec,
  type Outcome,
  type PlanView,
  type Problem,
  type Result,
} from "@berth/schema";
import { submitAction } from "./decide-jobs.ts";
import { isGivenUp } from "./patience.ts";
import { explainRequest, explainTask } from "./explain.ts";
import { planOn, type PlanEnv } from "./plan.ts";
import { holdSentence } from "./sentences.ts";
import { inside, type ClusterState, type MutableJob, type MutableState } from "./state.ts";
import { tentatively, type Tentative } from "./tentative.ts";
import { mountsVolumes } from "./volumes.ts";

/** A plan lists at most this many tasks, and this many refusing hosts over all of them; a warning counts the rest. */
const MAX_TASKS_LISTED = 1_000;
const MAX_HOSTS_LISTED = 20_000;

type TaskPlan = PlanView["tasks"][number];

/** Work that is queued already goes first, as it would. */
const ALL_QUEUED = { maxPlacements: 100_000 } as const;

const simulate = (state: MutableState, tentative: Tentative, spec: JobSpec, job: MutableJob | undefined) => {
  const tasks: TaskPlan[] = [];
  const hostsUsed = new Set<string>();
  const requestClass = state.classes.passing(state.dimensions, spec);
  const totals = { placed: 0, blocked: 0, held: 0 };
  // What an earlier version has left on lost hosts does not count, and gives way.
  const holding = [...(job?.tasks ?? []).map((task) => task.active), ...(job?.extra.values() ?? [])].filter(
    (id) => id !== null && !isGivenUp(state, id),
  ).length;
  let slots = (spec.maxRunning ?? Number.POSITIVE_INFINITY) - holding;
  let hostsListed = 0;
  let blocked: { readonly outcome: Outcome; readonly sentence: string } | undefined;

  const outcomeOf = (index: number, subject: string): { readonly outcome: Outcome; readonly sentence: string } => {
    const previous = job?.tasks[index]?.active ?? job?.extra.get(index) ?? null;
    if (previous !== null && !isGivenUp(state, previous)) {
      const hold = { kind: "previous_stopping" } as const;
      return { sentence: holdSentence(subject, hold, 0), outcome: { kind: "held", hold } };
    }
    if (slots <= 0) {
      const limit = spec.maxRunning ?? 0;
      const hold = { kind: "max_running", limit, running: limit - Math.min(slots, 0) } as const;
      return { sentence: holdSentence(subject, hold, 0), outcome: { kind: "held", hold } };
    }
    // One request: where the first did not fit, no other will, unless its volumes are elsewhere.
    if (blocked !== undefined) return { ...blocked, sentence: `${subject} waits like the task before it` };
    const explained = explainRequest(state, tentative, { spec, requestClass, index }, subject, "place");
    if (explained.chosen === undefined) {
      if (!mountsVolumes(spec)) blocked = explained;
    } else {
      slots -= 1;
      hostsUsed.add(explained.chosen.hostId);
    }
    return explained;
  };

  for (let index = 0; index < spec.count; index += 1) {
    const subject = `${spec.project}/${taskName(spec.name, index)}`;
    const { sentence, outcome } = outcomeOf(index, subject);
    if (outcome.kind !== "finished") totals[outcome.kind] += 1;
    if (tasks.length >= MAX_TASKS_LISTED) continue;
    let listed = outcome;
    if (outcome.kind === "blocked") {
      if (hostsListed + outcome.hosts.length > MAX_HOSTS_LISTED && hostsListed > 0) listed = { ...outcome, hosts: [] };
      else hostsListed += outcome.hosts.length;
    }
    tasks.push({ index, sentence, outcome: listed });
  }
  return { tasks, hostsUsed, totals };
};

/** What hosts that would get work cannot enforce, each sentence once with the hosts it is true of. */
const notEnforced = (state: MutableState, hosts: ReadonlySet<string>, spec: JobSpec): string[] => {
  const asksForSizes = spec.volumes.some((volume) => "volume" in volume && volume.sizeBytes > 0);
  const bySentence = new Map<string, string[]>();
  for (const host of [...state.hosts.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (!hosts.has(host.id)) continue;
    for (const sentence of host.inventory?.notEnforced ?? []) {
      if (sentence === VOLUME_SIZES_NOT_ENFORCED && !asksForSizes) continue;
      bySentence.set(sentence, [...(bySentence.get(sentence) ?? []), host.id]);
    }
  }
  return [...bySentence].map(([sentence, ids]) => {
    const rest = ids.length - 5;
    return `${ids.slice(0, 5).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}: ${sentence}`;
  });
};

const unchanged = (state: MutableState, tentative: Tentative, job: MutableJob, nowMs: number): TaskPlan[] =>
  job.tasks
    .slice(0, MAX_TASKS_LISTED)
    .map((task) => ({ index: task.index, ...pick(explainTask(state, tentative, job, task, nowMs)) }));

const pick = ({ sentence, outcome }: { readonly sentence: string; readonly outcome: Outcome }) => ({
  sentence,
  outcome,
});

/**
 * The plan for a submission of `spec`, after all work that is queued before it. Tasks that wait for their previous
 * allocation to end are held: where they go is decided when it has.
 */
export const dryRun = (clusterState: ClusterState, spec: JobSpec, env: PlanEnv): Result<PlanView, Problem> => {
  const state = inside(clusterState);
  const action = submitAction(state, spec);
  if (!action.ok) return action;
  const job = state.jobs.get(jobKey(spec.project, spec.name));
  const head = {
    project: spec.project,
    job: spec.name,
    action: action.value,
    revision: state.revision,
  };
  return tentatively(state.index, (tentative) => {
    if (action.value === "unchanged" && job !== undefined) {
      const tasks = unchanged(state, tentative, job, env.nowMs);
      return ok({ ...head, version: job.version, stops: 0, tasks, warnings: [] });
    }
    planOn(state, tentative, env, ALL_QUEUED);
    const { tasks, hostsUsed, totals } = simulate(state, tentative, spec, job);
    const warnings = notEnforced(state, hostsUsed, spec);
    if (tasks.length < spec.count) {
      warnings.unshift(
        `only the first ${tasks.length} of ${spec.count} tasks are listed; of all, ${totals.placed} would be placed now, ${totals.held} held, ${totals.blocked} blocked`,
      );
    }
    const active = [...(job?.tasks ?? [])].filter((task) => task.active !== null).map((task) => task.active);
    const stops = [...active, ...(job?.extra.values() ?? [])].filter(
      (id) => id !== null && state.allocations.get(id)?.desired === "run",
    ).length;
    return ok({ ...head, version: (job?.version ?? 0) + 1, stops, tasks, warnings });
  });
};
