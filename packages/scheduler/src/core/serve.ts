/**
 * Serves one job after the other within a plan: a task is placed where it fits; else it gets the room of less important work;
 * else, when it is the first that goes without, a host is promised to it, and whoever comes later must respect that. A gang
 * is served as a whole or not at all.
 */
import { priorityOf, type DeviceGrant, type HostId, type JobSpec, type LogRecord } from "@berth/schema";
import { backfill, mayBackfill, mayPromiseMore, promise, type Promised } from "./backfill.ts";
import { endOf, NEVER, type Ending } from "./ends.ts";
import { mayReplace, slotsOf } from "./fold-tasks.ts";
import { leftBeside } from "./daemons.ts";
import { sleep } from "./daemon-sleep.ts";
import { cpusTakenOn, withCpus, type CpusTaken } from "./granted.ts";
import { gangHolds, gangNeed } from "./gang.ts";
import { hostsForAll } from "./gang-hosts.ts";
import { placeTask, setAside, wantingOf, type Wanting } from "./place-task.ts";
import type { Line } from "./lines.ts";
import type { PlanEnv } from "./plan.ts";
import { findEviction, findEvictionAt, hasLesser, nothingTaken, passOver, take, untake } from "./preempt.ts";
import { PlannedPorts } from "./ports.ts";
import { claimOf, QuotaBook, wholeOf, type Claim } from "./quota.ts";
import type { ClassQueue, MutableJob, MutableState, MutableTask } from "./state.ts";
import type { Chosen, Tentative } from "./tentative.ts";
import type { Eviction, Taken } from "./victims-on.ts";
import { mountsVolumes } from "./volumes.ts";
import { nextTask, skip, WantingTasks, type Progress } from "./wanting-tasks.ts";

/** What a gang gets is one transaction, so only so many may be stopped for all of it. */
const MAX_GANG_VICTIMS = 8_192;

export interface Served {
  readonly placed: number;
  /**
   * `more`: it wants more, but others have their turn now. `cut`: the plan is full. `held`: its project may hold no more,
   * and nor may whoever stands behind it in its queue, but for what takes the place of an attempt on a lost host.
   */
  readonly end: "done" | "blocked" | "held" | "more" | "cut";
}

/** What comes of so many tasks at once. `few`: there are not so many; `kept`: their room is, until others have ended. */
type Together = "few" | "no" | "held" | "placed" | "kept";

/** One plan being made. A class, since a plan of one task is made so often that it must not cost a dozen closures. */
export class Serving {
  readonly taken: Taken = nothingTaken();
  readonly records: LogRecord[];
  readonly quotas: QuotaBook;
  /** What is promised to the first that goes without, and behind those who may wait for ever to the next; often nothing. */
  promised: readonly Promised[] = [];
  readonly #state: MutableState;
  readonly #tentative: Tentative;
  readonly #env: PlanEnv;
  /** So many records at most. */
  readonly #room: number;
  readonly #ends = new Map<number, Ending[]>();
  readonly #cpus = new Map<number, CpusTaken>();
  readonly #ports = new PlannedPorts();
  readonly #progress = new Map<MutableJob, Progress>();

  /** Room is supposed that the index has not heard of: nobody counts as asleep, nor falls asleep. */
  readonly #asksAll: boolean;

  constructor(
    state: MutableState,
    tentative: Tentative,
    env: PlanEnv,
    room: number,
    records: LogRecord[],
    asksAll = false,
  ) {
    this.#asksAll = asksAll;
    this.#state = state;
    this.#tentative = tentative;
    this.#env = env;
    this.#room = room;
    this.records = records;
    this.quotas = new QuotaBook(state);
    // A plan that cannot stop all of them serves nobody.
    if (records.length < state.toStop.size) return;
    // This plan stops them for other reasons: their room is coming without anybody being stopped for it.
    for (const id of state.toStop) {
      const slot = state.hosts.get(state.allocations.get(id)?.hostId ?? ("" as HostId))?.slot;
      if (slot !== undefined) passOver(state, this.taken, id, slot);
    }
  }

  /** Of something that it has placed. */
  get knowsEnds(): boolean {
    return this.#ends.size > 0;
  }

  /** Where a task of this job goes within what stands now, without a record; `only`: there or nowhere. */
  find(wanting: Wanting, runnersUp: number, only?: number): Chosen | undefined {
    const { chosen } = placeTask(this.#state, this.#tentative, wanting, "place", runnersUp, only);
    // Where its volumes are is where it goes, and not before nobody else is to have the room.
    if (chosen !== undefined || mountsVolumes(wanting.spec)) return chosen;
    for (const kept of this.promised) {
      if (wanting.hostId !== undefined && this.#state.index.idOf(kept.slot) !== wanting.hostId) continue;
      const mark = this.#tentative.bookings;
      setAside(this.#state, this.#tentative, wanting.previous);
      if (mayBackfill(this.#state, kept, wanting, this.#env.nowMs) === "may")
        return backfill(this.#tentative, kept, wanting, this.#env.nowMs);
      this.#tentative.undoTo(mark);
    }
    return undefined;
  }

  place(job: MutableJob, task: MutableTask, chosen: Chosen): void {
    if (job.spec.gangMin !== undefined) this.taken.gangs.add(job.key);
    this.noteEnd(job.spec, chosen);
    const devices = chosen.granted.devices.length === 0 ? undefined : { devices: this.#named(chosen) ?? [] };
    const ports =
      job.spec.ports === undefined ? undefined : this.#ports.give(this.#state.hosts.get(chosen.hostId), job.spec.ports);
    const placement = {
      id: this.#env.makeAllocationId(),
      project: job.project,
      job: job.name,
      jobVersion: job.version,
      index: task.index,
      attempt: task.attempts + 1,
      hostId: chosen.hostId,
      score: chosen.score,
      replaces: task.active,
    };
    this.records.push({
      kind: "allocation_placed",
      placement: devices === undefined && ports === undefined ? placement : { ...placement, ...devices, ...ports },
    });
  }

  /** What is placed there is over some day. */
  noteEnd(spec: JobSpec, { slot, granted }: Chosen): void {
    if (this.#state.limited === 0 && spec.runTimeoutMs === null) return;
    const atMs = endOf(spec, this.#env.nowMs);
    const ending = { atMs, request: granted.requestClass.request };
    if (atMs < NEVER) this.#ends.set(slot, [...(this.#ends.get(slot) ?? []), ending]);
  }

  /** Its devices, with the processors named that are its own, of those that no other placement of this plan has. */
  #named({ slot, hostId, granted: { devices } }: Chosen): DeviceGrant[] | undefined {
    const host = this.#state.hosts.get(hostId);
    if (host === undefined) return undefined;
    const taken = this.#cpus.get(slot) ?? cpusTakenOn(this.#state, host);
    this.#cpus.set(slot, taken);
    return withCpus(host, devices, taken);
  }

  #keep(job: MutableJob, task: MutableTask, { hostId, victims, granted: { devices } }: Eviction): void {
    this.records.push({
      kind: "room_reserved",
      project: job.project,
      job: job.name,
      jobVersion: job.version,
      index: task.index,
      hostId,
      victims: victims.map(({ id }) => id),
      ...(devices.length > 0 && { devices: [...devices] }),
    });
  }

  /** With the room of less important work; never for a task that mounts volumes, which has no choice of hosts. */
  evict(wanting: Wanting, claim: Claim): Eviction | undefined {
    const { hostId, requestClass, spec } = wanting;
    if (mountsVolumes(spec)) return undefined;
    if (claim.givesBack !== undefined && this.quotas.shortOf(wholeOf(claim)) !== undefined) return undefined;
    const isPromised = (slot: number): boolean => this.promised.some((kept) => kept.slot === slot);
    const own = hostId === undefined ? undefined : (this.#state.hosts.get(hostId)?.slot ?? -1);
    const asking = [requestClass, priorityOf(spec), this.taken] as const;
    let eviction: Eviction | undefined;
    const mark = this.#tentative.bookings;
    setAside(this.#state, this.#tentative, wanting.previous);
    if (own === undefined) eviction = findEviction(this.#state, ...asking, isPromised);
    else if (!isPromised(own)) eviction = findEvictionAt(this.#state, own, ...asking);
    // Until there is room, it counts where it is.
    this.#tentative.undoTo(mark);
    if (eviction === undefined) return undefined;
    take(this.#state, this.taken, eviction);
    this.#tentative.bookAt(eviction.slot, eviction.granted.requestClass);
    return eviction;
  }

  /** Does something and takes it all back when it returns false. */
  attempt(work: () => boolean): boolean {
    const mark = this.#tentative.bookings;
    const drawn = this.quotas.mark;
    const spare = this.promised.map((kept) => kept.spare.slice());
    const evictions = this.taken.evictions.length;
    if (work()) return true;
    while (this.taken.evictions.length > evictions) untake(this.#state, this.taken);
    this.promised.forEach((kept, at) => kept.spare.set(spare[at] as Float64Array));
    this.#tentative.undoTo(mark);
    this.quotas.undoTo(drawn);
    return false;
  }

  /** So many tasks of a job, each where it fits or with the room of others; nothing taken if there are not so many. */
  #together(job: MutableJob, at: Progress, many: number): Together {
    const found = this.#togetherAt(job, at, many);
    if (found !== "no" || at.isParked) return found;
    for (const slot of hostsForAll(this.#state, job, many)) {
      at.tasks = new WantingTasks(job, at.due, slotsOf(job));
      const there = this.#togetherAt(job, at, many, slot);
      if (there === "placed") return there;
    }
    return found;
  }

  /** `only`: all of them there. */
  #togetherAt(job: MutableJob, at: Progress, many: number, only?: number): Together {
    const found: { readonly task: MutableTask; readonly claim: Claim; readonly one: Chosen | Eviction }[] = [];
    const drawn = this.quotas.mark;
    let [seen, stopped, isHeld] = [0, 0, false];
    const isWhole = this.attempt(() => {
      while (found.length < many) {
        const task = nextTask(at);
        if (task === undefined) return false;
        seen += 1;
        const claim = claimOf(this.#state, job, task);
        isHeld = this.quotas.shortOf(claim) !== undefined;
        if (isHeld) return false;
        const wanting = wantingOf(job, task.index);
        const one = at.isParked ? undefined : (this.find(wanting, 0, only) ?? this.evict(wanting, claim));
        if (one !== undefined && "victims" in one) stopped += one.victims.length;
        if (one !== undefined && stopped <= MAX_GANG_VICTIMS) {
          found.push({ task, claim, one });
          this.quotas.draw(claim);
        }
        // The volumes of another may be where it can run.
        else if (mountsVolumes(job.spec)) skip(job, at, task);
        else {
          // Whether there are others matters: what lacks them does not lack room.
          while (seen < many && nextTask(at) !== undefined) seen += 1;
          return false;
        }
      }
      // Then room is kept for all of them.
      if (found.some(({ one }) => "victims" in one)) isHeld = !this.quotas.drawWhole(drawn, found);
      return !isHeld;
    });
    if (isHeld) return "held";
    if (!isWhole) return seen < many ? "few" : "no";
    const mustWait = found.some(({ one }) => "victims" in one);
    for (const { task, one } of found) {
      // Whoever has room already waits for the others: nobody starts without them.
      if (!mustWait) this.place(job, task, one as Chosen);
      else this.#keep(job, task, "victims" in one ? one : { ...one, victims: [] });
    }
    return mustWait ? "kept" : "placed";
  }

  /** Nobody behind this job may delay it further than it has to wait anyway. */
  #goWithout(job: MutableJob, tasks: number): void {
    if (!mayPromiseMore(this.promised) || mountsVolumes(job.spec)) return;
    // With all the room there is, it would not get it.
    const claim = { project: job.project, request: job.requestClass.request, many: tasks };
    if (!mayReplace(job) && this.quotas.shortOf(claim) !== undefined) return;
    const planned = { stopped: this.taken.ids, ends: this.#ends };
    const { nowMs } = this.#env;
    const promised = promise(this.#state, this.#tentative, job, tasks, nowMs, planned, this.promised);
    if (promised !== undefined) this.promised = [...this.promised, ...promised];
  }

  #begin(job: MutableJob, due: readonly number[] | undefined, isParked: boolean): Progress {
    const tasks = new WantingTasks(job, due, slotsOf(job), this.#asksAll);
    return { due, isParked, tasks, waiting: undefined, isGangPlaced: false };
  }

  /** Those that a gang lacks come first, all at once. */
  #serveGang(job: MutableJob, at: Progress): Served | undefined {
    if (at.isGangPlaced) return undefined;
    const whole = gangHolds(this.#state, job);
    // One of it has just been stopped for another: it starts again as a whole.
    if (whole.some((id) => this.taken.ids.has(id))) return { placed: 0, end: "done" };
    const holds = whole.length;
    const lacks = gangNeed(job) - holds;
    if (lacks <= 0) {
      at.isGangPlaced = true;
      return undefined;
    }
    // Some of it is being stopped, or waits out a backoff, or has its room kept: it is not its turn.
    if (holds > 0 || job.reserved.size > 0) return { placed: 0, end: "done" };
    if (!at.isParked && this.records.length > 0 && this.isFull(lacks)) return { placed: 0, end: "cut" };
    const all = { project: job.project, request: job.requestClass.request, many: lacks };
    // What is too much for all of it may do for one task of a job behind it.
    const held = (): Served => ({
      placed: 0,
      end: this.quotas.shortOf({ ...all, many: 1 }) === undefined ? "done" : "held",
    });
    if (!mayReplace(job) && this.quotas.shortOf(all) !== undefined) return held();
    const found = this.#together(job, at, lacks);
    if (found === "held") return held();
    if (found === "few") return { placed: 0, end: "done" };
    if (found === "no") {
      this.#goWithout(job, lacks);
      return { placed: 0, end: "blocked" };
    }
    // While the gang waits for its room, the others of the job do so with it.
    if (found === "kept") return { placed: lacks, end: "done" };
    at.isGangPlaced = true;
    return { placed: lacks, end: "more" };
  }

  isFull(more = 1): boolean {
    return this.records.length + more > this.#room;
  }

  /**
   * Only what fits nowhere without the bookings of this plan is parked, also not with the room of less important work that
   * stands beside them: the plan may never be applied, and what it promises may be promised elsewhere the next time. Rules
   * may be met by changes elsewhere: such a class is asked again every time.
   */
  #parkClass(queue: ClassQueue): void {
    const { budgetChanges, index, ledger } = this.#state;
    const { priority, requestClass } = queue;
    const mayTake = hasLesser(this.#state, priority);
    // Whom this plan has left alone, the next may stop.
    const isSpared = mayTake && this.promised.length + this.taken.evictions.length + this.taken.gangs.size > 0;
    if (requestClass.rules !== null || isSpared) return;
    if (mayTake) ledger.refresh(this.#state, this.taken.ids);
    if (this.#tentative.couldTake(requestClass, mayTake ? ledger.below(priority) : undefined)) return;
    queue.parkedAt = index.mark();
    queue.parkedBudget = mayTake ? budgetChanges : null;
  }

  /** Whether others stand in this plan for whom something is stopped beside which a class might find room that was parked. */
  #leavesRoomFor({ queue, requestClass }: Line): boolean {
    const { index, ledger } = this.#state;
    const { evictions } = this.taken;
    if (queue === undefined || evictions.length === 0 || !hasLesser(this.#state, queue.priority)) return false;
    const given = ledger.below(queue.priority);
    return evictions.some(({ slot }) => index.takes(slot, requestClass, given));
  }

  /** At most so many tasks of this job. One whose class is parked goes without, if it wants anything now. */
  serve(job: MutableJob, due: readonly number[] | undefined, atMost: number, line: Line): Served {
    const isParked = line.isParked && !this.#leavesRoomFor(line);
    const at = this.#progress.get(job) ?? this.#begin(job, due, isParked);
    const served = this.#serveFrom(at, job, atMost, line.queue);
    // Others have no second turn in a plan.
    if (served.end === "more") this.#progress.set(job, at);
    return served;
  }

  #serveFrom(at: Progress, job: MutableJob, atMost: number, queue: ClassQueue | undefined): Served {
    if (job.spec.gangMin !== undefined) {
      const served = this.#serveGang(job, at);
      if (served !== undefined) return served;
    }
    let placed = 0;
    let isHeld = false;
    for (let task = nextTask(at); task !== undefined; task = nextTask(at)) {
      if (!at.isParked && (this.isFull() || placed >= atMost)) {
        at.waiting = task;
        return { placed, end: this.isFull() ? "cut" : "more" };
      }
      // It does not fall asleep: what it waits for is no room.
      if (leftBeside(this.#state, job, task) !== undefined) {
        skip(job, at, task);
        continue;
      }
      const claim = claimOf(this.#state, job, task);
      if (this.quotas.shortOf(claim) !== undefined) {
        skip(job, at, task);
        isHeld = true;
        if (mayReplace(job)) continue;
        break;
      }
      const wanting = wantingOf(job, task.index);
      const chosen = at.isParked ? undefined : this.find(wanting, 0);
      if (chosen !== undefined) this.place(job, task, chosen);
      // The volumes of its next task may be elsewhere. Nobody else is of this class, and what wakes it may be no room.
      else if (mountsVolumes(job.spec)) {
        skip(job, at, task);
        continue;
      } else {
        const eviction = at.isParked ? undefined : this.evict(wanting, claim);
        if (eviction === undefined && job.daemon !== null) {
          // What takes the place of an attempt on a lost host may wait for a quota: no change of its host would tell.
          const waitsForRoom = claim.givesBack === undefined;
          if (waitsForRoom && !this.#asksAll) sleep(this.#state, this.#tentative, this.taken, wanting, job.daemon);
          skip(job, at, task);
          continue;
        }
        if (eviction === undefined) {
          if (queue !== undefined && !at.isParked && claim.givesBack === undefined) this.#parkClass(queue);
          this.#goWithout(job, 1);
          return { placed, end: "blocked" };
        }
        this.#keep(job, task, eviction);
      }
      this.quotas.draw(chosen === undefined ? wholeOf(claim) : claim);
      placed += 1;
    }
    return { placed, end: isHeld ? "held" : "done" };
  }
}
