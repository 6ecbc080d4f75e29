/**
 * Which further dimensions are counted. A vector has room for BASE of them in all the cluster, and hosts may name whatever
 * they like: so one counts only when some host has it and some job has asked for it. A host that names a dozen others uses
 * up nothing, and nobody's plan costs more for it. Disk counts always, since volumes book it.
 */
import { amountIn, DISK, problem, type JobSpec, type Problem, type Resources } from "@berth/schema";
import { crowdedBy, learnNames, toVector } from "./feasibility.ts";
import { leaveQueue, queueKeyOf, refreshQueue } from "./fold-tasks.ts";
import { describeHost } from "./granted.ts";
import type { ClusterState, MutableState } from "./state.ts";

const asks = ({ more = {} }: Resources): string[] => Object.keys(more).filter((name) => amountIn(more, name) > 0);

/** A job is there that asks for these (1), or no longer (-1). */
export const noteAsked = ({ asked }: MutableState, { requests }: JobSpec, sign: 1 | -1): void => {
  for (const name of asks(requests)) {
    const jobs = (asked.get(name) ?? 0) + sign;
    if (jobs > 0) asked.set(name, jobs);
    else asked.delete(name);
  }
};

/** They count from here on: who asks for one of them may be placed now. */
const learn = (state: MutableState, names: readonly string[]): void => {
  const before = state.dimensions;
  const known = learnNames(before, names);
  if (known === before) return;
  state.dimensions = known;
  state.index.setWidth(known.length);
  for (const host of state.hosts.values()) {
    state.usage.grow(toVector(before, host.allocatable), toVector(known, host.allocatable));
    describeHost(state, host);
  }
  for (const job of state.jobs.values()) {
    if (job.requestClass.unknown === null) continue;
    leaveQueue(state, job);
    state.classes.release(job.requestClass);
    job.requestClass = state.classes.retain(known, job.spec);
    job.queueKey = queueKeyOf(job.requestClass, job.spec);
    refreshQueue(state, job);
  }
};

/** A host has these now. */
export const learnOffered = (state: MutableState, { more = {} }: Resources): void =>
  learn(
    state,
    Object.keys(more).filter((name) => name === DISK || state.asked.has(name)),
  );

/** Of what a job asks for and nobody has asked for before, what some host has. */
export const newlyAsked = ({ dimensions, hosts }: MutableState, { requests }: JobSpec): string[] => {
  const news = asks(requests).filter((name) => !dimensions.includes(name));
  if (news.length === 0) return news;
  const all = [...hosts.values()];
  return news.filter((name) => all.some(({ allocatable }) => amountIn(allocatable.more, name) > 0));
};

/** What a job asks for and no host could ever be booked for, as others have taken the places. */
export const crowdedOut = ({ dimensions }: ClusterState, { requests }: JobSpec): Problem | undefined => {
  const asked = asks(requests);
  const known = learnNames(dimensions, asked);
  const left = asked.filter((name) => !known.includes(name));
  if (left.length === 0) return undefined;
  const message = `${left.join(", ")} cannot be booked: ${crowdedBy(known)}`;
  return problem("job.spec_invalid", `resources: ${message}`, { errors: [{ pointer: "/resources", message }] });
};

/** A job asks for these now. */
export const learnAsked = (state: MutableState, spec: JobSpec): void => learn(state, newlyAsked(state, spec));
