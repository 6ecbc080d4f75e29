/**
 * Which host could be lost now, and what would not fit elsewhere. Each host by itself, as if no other were lost with it; by
 * the room that there is, without anybody being stopped for it.
 */
import { priorityOf, taskName, type HostId, type HostLosses } from "@berth/schema";
import { explainRequest } from "./explain.ts";
import { gangHolds, gangNeed } from "./gang.ts";
import { hostsForAll } from "./gang-hosts.ts";
import { close, copyOf, lastingOn, reopen } from "./hypothesis.ts";
import { placeTask, setAside, wantingOf } from "./place-task.ts";
import { heldBy } from "./sentences.ts";
import type { AllocationRecord, ClusterState, MutableHost, MutableJob, MutableState } from "./state.ts";
import { tentatively, type Tentative } from "./tentative.ts";

type HostLoss = HostLosses["hosts"][number];

/** What of a job has no place any more, and the first sentence about it. */
interface Stranded {
  readonly left: readonly AllocationRecord[];
  readonly sentence: string | null;
}

const subjectOf = ({ project, job, index }: AllocationRecord): string => `${project}/${taskName(job, index)}`;

const isPlaced = (
  copy: MutableState,
  tentative: Tentative,
  job: MutableJob,
  { id, index }: AllocationRecord,
): boolean => placeTask(copy, tentative, wantingOf(job, index, id), "place").chosen !== undefined;

const strandedOf = (
  copy: MutableState,
  tentative: Tentative,
  job: MutableJob,
  lost: readonly AllocationRecord[],
): Stranded => {
  const left: AllocationRecord[] = [];
  let sentence: string | null = null;
  for (const one of lost) {
    if (isPlaced(copy, tentative, job, one)) continue;
    const wanting = wantingOf(job, one.index, one.id);
    left.push(one);
    sentence ??= explainRequest(copy, tentative, wanting, subjectOf(one), "look").sentence;
  }
  return { left, sentence };
};

/** Its allocations that would go on, when this host is gone. */
const goOn = (copy: MutableState, job: MutableJob, gone: HostId): AllocationRecord[] =>
  gangHolds(copy, job)
    .map((id) => copy.allocations.get(id))
    .filter((one) => one !== undefined)
    .filter(({ hostId }) => hostId !== gone);

/** It begins anew, as a whole or not at all. */
const strandedGang = (
  copy: MutableState,
  tentative: Tentative,
  job: MutableJob,
  lost: readonly AllocationRecord[],
  others: readonly AllocationRecord[],
): Stranded & { readonly isWhole: boolean } => {
  const needed = gangNeed(job);
  const isLost = new Set(lost.map(({ id }) => id));
  const all = [...lost, ...others].sort((a, b) => a.index - b.index);
  const mark = tentative.bookings;
  let able = 0;
  for (const only of [undefined, ...hostsForAll(copy, job, needed)]) {
    tentative.undoTo(mark);
    const left = all.filter(({ id, index }) => {
      const previous = isLost.has(id) ? id : null;
      return placeTask(copy, tentative, wantingOf(job, index, previous), "place", 0, only).chosen === undefined;
    });
    able = Math.max(able, all.length - left.length);
    if (all.length - left.length < needed) continue;
    const [first] = left;
    return {
      isWhole: true,
      left: left.filter(({ id }) => isLost.has(id)),
      sentence: first === undefined ? null : `${subjectOf(first)} finds no room beside the rest of its gang`,
    };
  }
  tentative.undoTo(mark);
  const hold = { kind: "gang", needed, able: Math.min(able, needed) } as const;
  const { sentence } = heldBy(subjectOf(lost[0] ?? (all[0] as AllocationRecord)), hold);
  return { isWhole: false, left: lost, sentence };
};

/** What has to find another place, job by job: those that are served first come first. */
const byJob = (copy: MutableState, lasting: readonly AllocationRecord[]): [MutableJob, AllocationRecord[]][] => {
  const jobs = new Map<MutableJob, AllocationRecord[]>();
  for (const one of lasting) {
    const job = copy.jobs.get(one.key);
    if (job === undefined) continue;
    const known = jobs.get(job);
    if (known === undefined) jobs.set(job, [one]);
    else known.push(one);
  }
  for (const lost of jobs.values()) lost.sort((a, b) => a.index - b.index);
  return [...jobs].sort(([a], [b]) => priorityOf(b.spec) - priorityOf(a.spec) || a.order - b.order);
};

const lossOf = (copy: MutableState, host: MutableHost): HostLoss => {
  // Daemons go with their host.
  const lasting = lastingOn(copy, host).filter(({ spec }) => spec.kind !== "daemon");
  let stranded = 0;
  let sentence: string | null = null;
  close(copy, host);
  tentatively(copy.index, (tentative) => {
    const jobs = byJob(copy, lasting);
    const broken = new Map<MutableJob, AllocationRecord[]>();
    for (const [job] of jobs) {
      const others = job.spec.gangMin === undefined ? [] : goOn(copy, job, host.id);
      if (others.length < gangNeed(job)) broken.set(job, others);
    }
    // Whoever has only to be placed is, before what is left of a gang has ended: that takes longer.
    const withoutPlaced = (job: MutableJob, lost: readonly AllocationRecord[]): readonly AllocationRecord[] => {
      const others = broken.get(job);
      if (others === undefined) return lost.filter((one) => !isPlaced(copy, tentative, job, one));
      // Nobody is left of it elsewhere who has to end first.
      const found = others.length > 0 ? undefined : strandedGang(copy, tentative, job, lost, others);
      if (found?.isWhole !== true) return lost;
      broken.delete(job);
      return found.left;
    };
    const left = jobs
      .map(([job, lost]) => [job, withoutPlaced(job, lost)] as const)
      .filter(([, some]) => some.length > 0);
    // What is left of a gang that has become too small is given up.
    for (const others of broken.values()) for (const { id } of others) setAside(copy, tentative, id);
    for (const [job, lost] of left) {
      const others = broken.get(job);
      const found =
        others === undefined
          ? strandedOf(copy, tentative, job, lost)
          : strandedGang(copy, tentative, job, lost, others);
      stranded += found.left.length;
      sentence ??= found.sentence;
    }
  });
  reopen(copy, host);
  return { host: host.id, tasks: lasting.length, stranded, sentence };
};

/**
 * One host with work at a time, in the order of ids. Copies the state when it begins; each step then costs its tasks, the
 * gangs that they are of and, where there are rules of placement, a look at all hosts.
 */
export function* hostLosses(state: ClusterState, nowMs: number): Generator<HostLoss> {
  const copy = copyOf(state, nowMs);
  const hosts = [...copy.hosts.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const host of hosts) if (host.capacity !== null && host.state !== "lost") yield lossOf(copy, host);
}
