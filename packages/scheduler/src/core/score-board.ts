/**
 * The scores of all hosts for the request classes that are asked about. Changes of hosts are kept in a journal; before a class
 * gets its answer, the hosts that have changed since its strip was asked last are scored for it and the seven beside it. So a
 * change costs the same however many classes there are, a class that nobody asks about costs nothing, and one that was left
 * behind too far is scored anew. The kernel counts; hosts with devices, and requests for them, are left to the scorer.
 */
import type { Lookup, ScoreBreakdown } from "@berth/schema";
import { LRUCache } from "lru-cache";
import { createChangeJournal } from "./change-journal.ts";
import { createIdleKinds, isIdleWithDevices } from "./idle-kinds.ts";
import type { GroupCounts } from "./group-counts.ts";
import type { HostTable } from "./host-table.ts";
import { relabelled } from "./relabel.ts";
import type { RequestClass } from "./request-class.ts";
import {
  asksOfOthers,
  checkOf,
  eligibleIn,
  hostSightOf,
  isRefused,
  mayTurn,
  turnsAll,
  type HostSight,
} from "./rule-check.ts";
import { shunningGroup } from "./rules.ts";
import { groupsOf, isPlain, isWeighed, wantsDevices, weighed } from "./lane-rules.ts";
import { ScoreKernel } from "./score-kernel.ts";
import { Sheets } from "./sheets.ts";
import {
  blank,
  close,
  forgetTop,
  forgetTops,
  leafOf,
  refuse,
  REFUSED,
  setOwn,
  setScore,
  wasRefused,
  type Lane,
  type Strip,
} from "./score-strip.ts";
import { explainFullness, explainPacking, FULLNESS_WEIGHT, NO_VALUATION, ownSize, type Valuation } from "./score.ts";
import { roundedUp } from "./vector.ts";
import { CANNOT, createScorer, returnsOf } from "./scorer.ts";

export interface ScoreBoard {
  /** The lane of a class, true as of now. */
  readonly laneOf: (requestClass: RequestClass) => Lane;
  /** The score of this request by the room of a host alone, with its ingredients; for a request that fits there. */
  readonly explain: (slot: number, requestClass: RequestClass) => ScoreBreakdown;
  readonly setValuation: (valuation: Valuation) => void;
  /** The same valuation, but for how much of the room that is taken comes back: only idle hosts have other scores then. */
  readonly setReturns: (valuation: Valuation) => void;
  /** This host is another one, perhaps with as much room as before. */
  readonly touch: (slot: number) => void;
  /** One more (1) or one less (-1) of a group stands on this host: so many there are now. */
  readonly recount: (group: string, slot: number, there: number, by: 1 | -1) => void;
  /** Other hosts are ready: which places count may be another thing. */
  readonly forgetReady: () => void;
  /** It has other labels than before: what rules say of it, and of its places, is another thing. */
  readonly relabel: (slot: number, before: Lookup) => void;
  /** By another label some keep apart from this group: what is asked for whoever is in it is another thing. */
  readonly forgetShunned: (group: string) => void;
  /** All that is known of classes is void. */
  readonly forget: () => void;
}

/** Neither ready nor not: has to be looked at again. */
const UNSEEN = 2;
/** No number of hosts: all have to be looked at again. */
const NONE_SEEN = -1;

const MAX_RECOUNTED = 4_096;

/** No class has it. */
const NO_CLASS = -1;

export const createScoreBoard = (
  table: HostTable,
  counts: GroupCounts,
  lookups: readonly Lookup[],
  maxScores: number,
  columnsInUse: () => number,
): ScoreBoard => {
  const { stride } = table;
  let columns = columnsInUse();
  let valuation = NO_VALUATION;
  let width = table.width();
  let scorer = createScorer(valuation, width, columns);
  let hosts = NONE_SEEN;
  /** Made when the first is asked about: many indexes are made and few are asked. */
  let kernel: ScoreKernel;
  const sheets = new Sheets();
  /** Which hosts were ready when last looked at, or UNSEEN. */
  let seenReady = new Uint8Array(0);
  /** No request that is asked about is larger than this. */
  const most = new Float64Array(stride);
  let journal = createChangeJournal(0);
  let idleKinds = createIdleKinds(table);
  /** Other places count from here on; or other sizes of requests, so that other dimensions may bind. */
  let isRevalued = false;
  let isLarger = false;
  let readiness = 0;
  /** The lanes to which it matters how many of a group stand on a host, by class. */
  const watching = new Map<string, Map<number, Lane>>();

  /** Whoever was asked about last is asked about again at once, for the ingredients of its score. */
  let newest: Lane;
  let newestId = NO_CLASS;
  const laneBy = (requestClass: RequestClass): Lane => {
    if (requestClass.id === newestId) return newest;
    newest = lanes.get(requestClass.id) ?? open(requestClass);
    newestId = lanes.has(requestClass.id) ? requestClass.id : NO_CLASS;
    return newest;
  };

  const lanes = new LRUCache<number, Lane>({
    maxSize: maxScores,
    sizeCalculation: ({ strip }) => Math.max(1, strip.sheet.partition.length),
    dispose: (lane, id) => {
      newestId = NO_CLASS;
      close(lane);
      blank(lane);
      sheets.left(lane.check);
      for (const group of groupsOf(lane)) {
        const lanesOf = watching.get(group);
        lanesOf?.delete(id);
        if (lanesOf?.size === 0) watching.delete(group);
      }
    },
  });

  const forget = (): void => {
    lanes.clear();
    if (width === table.width() && columns === columnsInUse()) return;
    width = table.width();
    columns = columnsInUse();
    scorer = createScorer(valuation, width, columns);
    hosts = NONE_SEEN;
  };

  const reset = (): void => {
    lanes.clear();
    sheets.clear();
    counts.forgetPlaces(() => true);
    const count = table.ids.length;
    seenReady = new Uint8Array(count).fill(UNSEEN);
    journal = createChangeJournal(count);
    idleKinds = createIdleKinds(table);
    kernel ??= new ScoreKernel();
    // Whatever fails there is tried again by the next who asks.
    hosts = NONE_SEEN;
    kernel.reset(count, width, columns, journal.longest);
    hosts = count;
    isRevalued = true;
    for (let slot = 0; slot < hosts; slot += 1) look(slot);
  };

  const look = (slot: number): void => {
    const { free, ready } = table.rows();
    if (seenReady[slot] !== ready[slot]) kernel.see(slot, table.rows(), stride);
    else if (!kernel.seeFree(slot, free, stride)) return;
    seenReady[slot] = ready[slot] as number;
    if (!isRevalued) survey(slot);
    journal.note(slot);
    if (columns > 0) idleKinds.note(slot, isIdleWithDevices(table, slot), guard);
  };

  const guard = (slot: number, share: number): void => {
    if (kernel.seen.guarded[slot] === share) return;
    kernel.seen.guarded[slot] = share;
    journal.note(slot);
  };

  /** Whether devices matter there, which are left to the scorer. */
  const hasDevices = (slot: number): boolean => columns > 0 && scorer.isForDevices(kernel.seen, slot);

  const survey = (slot: number): void => {
    const { run, seen } = kernel;
    if (!hasDevices(slot)) {
      run.survey(slot);
      return;
    }
    run.surveyPlaces(slot);
    scorer.surveyDevices(seen, slot);
    run.surveyBinding(slot);
    scorer.surveyOpening(seen, slot);
  };

  const catchUp = (): void => {
    if (hosts !== table.ids.length) reset();
    table.takeChanged(look);
    surveyAgain();
  };

  const surveyAgain = (): void => {
    if (!isRevalued && !isLarger) return;
    if (isRevalued) kernel.revalue(valuation, scorer);
    kernel.setMost(most);
    [isRevalued, isLarger] = [false, false];
    if (columns === 0) kernel.run.surveyAll(hosts);
    else for (let slot = 0; slot < hosts; slot += 1) survey(slot);
  };

  const sightOf = ({ check }: Lane): HostSight | null =>
    check === null || !asksOfOthers(check) ? null : hostSightOf(check, counts);

  /** The score of a host that no rule refuses. */
  const scoreOf = (lane: Lane, slot: number): number =>
    kernel.isReady(slot) ? weighed(lane, slot, scorer.units(kernel.seen, slot, lane.ask, ownOf(lane))) : CANNOT;

  const ownOf = ({ ask }: Lane): number => ownSize(valuation, ask.request, ask.wishes);

  /** Puts right what the kernel said of a host for a lane, where there is more to it than the kernel knows. */
  const correct = (lane: Lane, slot: number, isWith: boolean): void => {
    const leaf = leafOf(lane, lane.strip.sheet.partition.positionOf[slot] as number);
    const units = kernel.i32[leaf] as number;
    if (units <= REFUSED) return;
    if (isWith || wantsDevices(lane)) kernel.i32[leaf] = scoreOf(lane, slot);
    else if (isWeighed(lane)) kernel.i32[leaf] = weighed(lane, slot, units);
  };

  /** The kernel's scores of these hosts, put right. */
  const follow = (strip: Strip, count: number): void => {
    if (columns === 0 && strip.isPlain) return;
    const live = strip.lanes.filter((lane) => lane?.isLive === true) as Lane[];
    const special = live.filter((lane) => !isPlain(lane));
    const { slots, changedAt } = kernel;
    const { domainOf } = strip.sheet.partition;
    for (let at = 0; at < count; at += 1) {
      const slot = slots[at] as number;
      const isWith = hasDevices(slot);
      for (const lane of isWith ? live : special) {
        correct(lane, slot, isWith);
        kernel.u8[changedAt + at] = (kernel.u8[changedAt + at] as number) | (1 << lane.inside);
        forgetTop(lane, domainOf[slot] as number);
      }
    }
  };

  /** What has changed since the strip was asked last, in all of its live lanes. */
  const update = (strip: Strip): void => {
    const now = journal.mark();
    const { mark } = strip;
    strip.mark = now;
    if (mark === now || !strip.lanes.some((lane) => lane?.isLive)) return;
    if (!journal.reaches(mark)) {
      for (const lane of strip.lanes) if (lane !== undefined) lane.isLive = false;
      return;
    }
    const { beforeAt, changedAt, slots, slotsAt } = kernel;
    const count = journal.since(mark, slots);
    kernel.run.score(strip.at, slotsAt, count, changedAt, beforeAt);
    follow(strip, count);
    kernel.run.raiseAll(strip.at, slotsAt, count, changedAt, beforeAt);
  };

  const recount = (lane: Lane): void => {
    if (lane.recounted.size === 0) return;
    const sight = sightOf(lane);
    for (const slot of lane.recounted) {
      const isNow = lane.check !== null && isRefused(lane.check, sight, slot);
      if (isNow !== wasRefused(lane, slot)) setScore(lane, slot, isNow ? REFUSED : scoreOf(lane, slot));
    }
    lane.recounted.clear();
  };

  /** Scores all hosts for the lanes of a strip that are void: who stands beside one that is asked about is mostly asked about, too. */
  const scoreAll = ({ at, isPlain: isCounted, lanes: some }: Strip): void => {
    const all = some.filter((lane) => lane !== undefined);
    const blanks = all.filter(({ isLive }) => !isLive);
    for (const lane of blanks) {
      setOwn(lane, ownOf(lane), returnsOf(valuation, lane.ask.lastsMs));
      const { check } = lane;
      const sight = sightOf(lane);
      refuse(lane, check === null ? null : (slot) => isRefused(check, sight, slot));
    }
    const scored = blanks.length === 1 ? blanks : all;
    if (blanks.length === 1) kernel.run.fill(at, (blanks[0] as Lane).inside);
    else kernel.run.fillAll(at);
    if (!isCounted || columns > 0) {
      for (let slot = 0; slot < hosts; slot += 1) {
        const isWith = hasDevices(slot);
        for (const lane of scored) if (isWith || !isPlain(lane)) correct(lane, slot, isWith);
      }
    }
    kernel.run.build(at);
    for (const lane of blanks) {
      forgetTops(lane);
      lane.recounted.clear();
      lane.isLive = true;
    }
  };

  /** Which dimensions bind is known for requests as large as this one, too. */
  const expect = ({ request }: RequestClass): void => {
    for (let at = 0; at < width; at += 1) {
      if ((request[at] as number) <= (most[at] as number)) continue;
      most[at] = roundedUp(request[at] as number);
      isLarger = true;
    }
    surveyAgain();
  };

  const open = (requestClass: RequestClass): Lane => {
    const { id, rules } = requestClass;
    const { ready } = table.rows();
    expect(requestClass);
    const check =
      rules === null
        ? null
        : checkOf(rules, {
            ...{ lookups, ready, labelsOf: counts.shunnedBy },
            placeOf: (path) => sheets.placeOf(path, lookups),
          });
    const lane = sheets.for(check, kernel, table.ordered, width).open(check, requestClass, readiness);
    lanes.set(id, lane);
    // More hosts than may be remembered: the answer is right, and gone with the next question.
    if (!lanes.has(id)) {
      close(lane);
      sheets.left(check);
    } else for (const group of groupsOf(lane)) watching.set(group, (watching.get(group) ?? new Map()).set(id, lane));
    return lane;
  };

  return {
    laneOf: (requestClass) => {
      catchUp();
      const lane = laneBy(requestClass);
      update(lane.strip);
      if (lane.isLive) recount(lane);
      else scoreAll(lane.strip);
      const { check } = lane;
      if (check !== null && lane.readiness !== readiness) {
        lane.readiness = readiness;
        check.eligible = eligibleIn(check.places, check.allowed, table.rows().ready);
        check.sight.version = NONE_SEEN;
      }
      return lane;
    },
    explain: (slot, requestClass) => {
      catchUp();
      const isCounted = newestId === requestClass.id && newest.ask === requestClass && newest.isLive;
      if (isCounted && !wantsDevices(newest) && !hasDevices(slot)) {
        const { full, keeps } = kernel.measure(newest.strip.at, newest.inside, slot);
        return valuation.count === 0 ? explainFullness(full) : explainPacking(full, keeps, FULLNESS_WEIGHT);
      }
      expect(requestClass);
      return scorer.explain(kernel.seen, slot, requestClass);
    },
    setValuation: (next) => {
      valuation = next;
      scorer = createScorer(next, width, columns);
      for (const sheet of sheets.values()) sheet.arrange(ownOf);
      isRevalued = true;
    },
    setReturns: (next) => {
      valuation = next;
      scorer = createScorer(next, width, columns);
      for (const lane of lanes.values()) {
        if (lane.isLive) setOwn(lane, ownOf(lane), returnsOf(valuation, lane.ask.lastsMs));
      }
      // All are surveyed anew anyway.
      if (isRevalued || hosts === NONE_SEEN) return;
      const { opening } = kernel.seen;
      for (let slot = 0; slot < hosts; slot += 1) if ((opening[slot] as number) > 0) journal.note(slot);
    },
    touch: (slot) => {
      if (slot < seenReady.length) seenReady[slot] = UNSEEN;
    },
    recount: (group, slot, there, by) => {
      const lanesOf = watching.get(group);
      if (lanesOf === undefined) return;
      for (const lane of lanesOf.values()) {
        const { check } = lane;
        if (!lane.isLive || check === null || !mayTurn(check, group, there, by)) continue;
        // Its room is looked at by itself; only whether a rule refuses it is news.
        lane.recounted.add(slot);
        // Whoever is not asked for long is scored anew some day.
        if (turnsAll(check, counts, group, by) || lane.recounted.size > MAX_RECOUNTED) lane.isLive = false;
      }
    },
    forgetReady: () => {
      readiness += 1;
    },
    relabel: (slot, before) => {
      const now = lookups[slot] as Lookup;
      const differs = (path: string): boolean => before(path) !== now(path);
      for (const id of relabelled(lanes, slot, now, differs)) lanes.delete(id);
      sheets.forgetPlaces(differs);
      counts.forgetPlaces(differs);
    },
    forgetShunned: (group) => {
      // Whoever is in it asks of each host whether one is there that keeps apart by host.
      for (const id of [...(watching.get(shunningGroup("host", group))?.keys() ?? [])]) lanes.delete(id);
    },
    forget,
  };
};
