/**
 * Which further dimensions are counted. A vector has room for BASE of them in all the cluster, and hosts may name whatever
 * they like: so one counts only when some host has it and some job has asked for it. A host that names a dozen others uses
 * up nothing, and nobody's plan costs more for it. Disk counts always, since volumes book it.
 *
 * One counts from then on, until its place is wanted: where all are taken, the first that no job asks for any more, or no host
 * has, and of which nothing is booked, makes room for one that waits. All of it follows from the log, and from an image alike.
 */
import { amountIn, DISK, jobKey, problem, type JobSpec, type Problem, type Resources } from "@berth/schema";
import { crowdedBy, isCrowdedOut, learnNames, toVector } from "./feasibility.ts";
import { leaveQueue, queueKeyOf, refreshQueue } from "./fold-tasks.ts";
import { describeHost } from "./granted.ts";
import { inside, type ClusterState, type MutableState } from "./state.ts";

const asks = ({ more = {} }: Resources): string[] => Object.keys(more).filter((name) => amountIn(more, name) > 0);

/** A job that has not finished asks for these (1), or no longer (-1). */
export const noteAsked = ({ asked }: MutableState, { requests }: JobSpec, sign: 1 | -1): void => {
  for (const name of asks(requests)) {
    const jobs = (asked.get(name) ?? 0) + sign;
    if (jobs > 0) asked.set(name, jobs);
    else asked.delete(name);
  }
};

/** Some host has them. */
const offered = ({ hosts }: MutableState, names: readonly string[]): string[] => {
  const missing = new Set(names);
  for (const { allocatable } of hosts.values()) {
    for (const name in allocatable.more) if (amountIn(allocatable.more, name) > 0) missing.delete(name);
    if (missing.size === 0) break;
  }
  return names.filter((name) => !missing.has(name));
};

const isHeld = ({ dimensions, usage }: MutableState, name: string): boolean => usage.isHeld(dimensions.indexOf(name));

/** Nothing of it is booked, and no host has it any more. */
const isGone = (state: MutableState, name: string): boolean =>
  !isHeld(state, name) && offered(state, [name]).length === 0;

/** Nothing of it is booked, and no job asks for it. */
const isIdle = (state: MutableState, name: string): boolean => !state.asked.has(name) && !isHeld(state, name);

/** It may make room for another. */
const mayGo = (state: MutableState, name: string): boolean => isIdle(state, name) || isGone(state, name);

/** They count from here on: who asks for one of them may be placed now. */
const learn = (state: MutableState, names: readonly string[]): void => {
  const before = state.dimensions;
  const known = learnNames(before, names, (name) => mayGo(state, name));
  if (known === before) return;
  const others = before.flatMap((name, at) => (known[at] === name ? [] : [at]));
  state.dimensions = known;
  state.index.setWidth(known.length);
  for (const host of state.hosts.values()) {
    state.usage.grow(toVector(before, host.allocatable), toVector(known, host.allocatable));
    describeHost(state, host);
  }
  if (others.length > 0) {
    state.demand.forgetAmounts(others);
    state.index.setMix(state.demand.mix);
  }
  for (const job of state.jobs.values()) {
    const { request, unknown } = job.requestClass;
    // Some asked for what stood there: they have finished, or no host has it.
    if (unknown === null && !others.some((at) => (request[at] as number) > 0)) continue;
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
export const newlyAsked = (state: MutableState, { requests }: JobSpec): string[] => {
  const news = asks(requests).filter((name) => !state.dimensions.includes(name));
  return news.length === 0 ? news : offered(state, news);
};

/** A job asks for these now. */
export const learnAsked = (state: MutableState, spec: JobSpec): void => learn(state, newlyAsked(state, spec));

/** What jobs wait for and was crowded out, now that work which asked for this is no more, or a host that had it. */
export const learnWaiting = (state: MutableState, freed: readonly Resources[]): void => {
  const { asked, dimensions } = state;
  // Mostly there are places left, or all that it asked for is asked for by others too.
  if (freed.length === 0 || !isCrowdedOut(dimensions, "")) return;
  const names = new Set(freed.flatMap(asks));
  if (!dimensions.some((name) => names.has(name) && mayGo(state, name))) return;
  learn(
    state,
    offered(
      state,
      [...asked.keys()].filter((name) => !dimensions.includes(name)),
    ),
  );
};

/**
 * What a job asks for and no host could ever be booked for, as others have taken the places. What is only booked yet for work
 * that is about to end stands in nobody's way for good; nor does what the job itself asked for in its last version.
 */
export const crowdedOut = (clusterState: ClusterState, spec: JobSpec): Problem | undefined => {
  const state = inside(clusterState);
  const asked = asks(spec.requests);
  const old = state.jobs.get(jobKey(spec.project, spec.name));
  const own = old === undefined || old.finishedAtMs !== null ? [] : asks(old.spec.requests);
  const others = (name: string): number => (state.asked.get(name) ?? 0) - (own.includes(name) ? 1 : 0);
  const known = learnNames(state.dimensions, asked, (name) => others(name) <= 0 || isGone(state, name));
  const left = asked.filter((name) => !known.includes(name));
  if (left.length === 0) return undefined;
  const message = `${left.join(", ")} cannot be booked: ${crowdedBy(known)}`;
  return problem("job.spec_invalid", `resources: ${message}`, { errors: [{ pointer: "/resources", message }] });
};
