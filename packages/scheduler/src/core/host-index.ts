/**
 * Answers "where does this request fit best?". For each request class that is asked about there is a lane of the scores of
 * all hosts. A host that changes is noted once; before the next answer it is looked at once for all classes together: which
 * requests of the mix it has places for is found a single time, most classes end at the first dimension that is short, and
 * only the others are scored. So a placement costs a few comparisons for each class, whatever the number of hosts.
 *
 * The lanes are the memory of scores of (request class, host): a bounded LRU, and dropping one costs a scan, never an answer.
 * The index is kept by `fold`. Planning books on it tentatively and takes everything back before it returns.
 */
import {
  DIMENSIONS,
  type Device,
  type DeviceGrant,
  type HostId,
  type Lookup,
  type ScoreBreakdown,
} from "@berth/schema";
import { bestForImage, explainWithImage, imageSlots } from "./choose-for-image.ts";
import { bestFew, bestOf } from "./choose-host.ts";
import type { Mix } from "./demand.ts";
import {
  cellsOf,
  type CellOf,
  choose,
  createDeviceLayout,
  grantsOf,
  unfulfilled,
  writeDevices,
  type DeviceLayout,
  type Wish,
} from "./devices.ts";
import { type HostRoom } from "./feasibility.ts";
import { createGroupCounts } from "./group-counts.ts";
import { createHostEnds, NO_END, type Alignments, type Stay } from "./host-ends.ts";
import { createHostTable, type Rows } from "./host-table.ts";
import type { ImageNeed } from "./image-start.ts";
import type { Survival } from "./lifetimes.ts";
import { askedOf, bookedAs, type RequestClass } from "./request-class.ts";
import { againstPlace, allAgainstPlace, companionsOf, evenness, sightOf, type PlaceSight } from "./place-check.ts";
import { againstHost, allAgainstHost, failing, type RuleCheck, type RuleRejection } from "./rule-check.ts";
import { createScoreBoard } from "./score-board.ts";
import type { Lane } from "./score-strip.ts";
import { BASE, largestOf, padded, STRIDE, type Vector } from "./vector.ts";
import { explainRuled, NO_VALUATION, SCORE_UNITS, UNRULED, valuate, type Ruled, type Valuation } from "./score.ts";

export interface Choice {
  readonly slot: number;
  readonly hostId: HostId;
  readonly score: number;
}

/** What a task would have: booked amounts with columns of devices, and the grants that say it to people and hosts. */
export interface Granted {
  readonly requestClass: RequestClass;
  readonly devices: readonly DeviceGrant[];
}

/** What a host is, beside its room: `key` is the same for equal attributes. */
export interface Attributes {
  readonly key: string;
  readonly lookup: Lookup;
}

export interface HostIndex {
  /** The position of a host, given at its first sight and never to another. */
  readonly slotOf: (id: HostId) => number;
  readonly setHost: (
    slot: number,
    allocatable: Vector,
    ready: boolean,
    attributes?: Attributes,
    devices?: readonly Device[],
    open?: boolean,
  ) => void;
  /** What rules of placement may ask of a host. */
  readonly lookupOf: (slot: number) => Lookup;
  /** So many dimensions are known now. */
  readonly setWidth: (width: number) => void;
  /** Books (`sign` 1) or frees (-1) what a task of this class asks for. */
  readonly book: (slot: number, requestClass: RequestClass, sign: 1 | -1) => void;
  /** Books or frees for a moment: unlike `book`, freeing is no news for work that waits. */
  readonly tryOut: (slot: number, requestClass: RequestClass, sign: 1 | -1) => void;
  readonly idOf: (slot: number) => HostId;
  readonly rows: () => Rows;
  /** Whether it has the room, together with what is given up there (see `grownFor`), and every rule agrees. */
  readonly takes: (slot: number, requestClass: RequestClass, given?: Float64Array) => boolean;
  /** The same without the rules. */
  readonly hasRoom: (slot: number, requestClass: RequestClass) => boolean;
  readonly room: (slot: number) => HostRoom;
  /** All slots, in the order of their host ids. */
  readonly inOrder: () => readonly number[];
  /** The slot of the best host for this class, or -1. */
  readonly pick: (requestClass: RequestClass, image?: ImageNeed) => number;
  /** The best hosts for this class, best first, at most `limit`; equal scores by host id. */
  readonly choose: (requestClass: RequestClass, limit: number, image?: ImageNeed) => Choice[];
  /** The rule that stands against this host now, beside its room; undefined: none. */
  readonly refusal: (slot: number, requestClass: RequestClass) => RuleRejection | undefined;
  /** The same for whoever asks about many hosts: what is common to them is looked up once. To be asked at once, and not kept. */
  readonly refusals: (requestClass: RequestClass) => (slot: number) => RuleRejection | undefined;
  /** How many rules stand against this host now. */
  readonly rulesAgainst: (slot: number, requestClass: RequestClass) => number;
  /** Of each group that it has to be together with: how many are where this host is. */
  readonly companions: (slot: number, requestClass: RequestClass) => ReturnType<typeof companionsOf>;
  /** Scores by this mix from here on. The places it is made of are measured by the largest hosts there are now, or were. */
  readonly setMix: (mix: Mix, largest?: ArrayLike<number>) => void;
  readonly valuation: () => Valuation;
  /** The score of this request on a host that can take it, with its ingredients. */
  readonly explain: (slot: number, requestClass: RequestClass, image?: ImageNeed) => ScoreBreakdown;
  /** A mark for `grownFor`: now. */
  readonly mark: () => number;
  /**
   * True when since `mark` some host has grown such that it can take the request now, or could with what is given up there:
   * a row of STRIDE for each slot.
   */
  readonly grownFor: (mark: number, requestClass: RequestClass, given?: Float64Array) => boolean;
  /** The hosts that have grown since `mark`, some perhaps more than once; undefined: more than are remembered. */
  readonly grownSince: (mark: number) => readonly number[] | undefined;
  /** Which devices would be a task's on this host; `within`: what there is of it, when that is not what is free now. */
  readonly grant: (slot: number, requestClass: RequestClass, within?: Float64Array) => Granted | undefined;
  /** Whether the devices of a host would do with so much left of them. */
  readonly hasDevices: (slot: number, room: Float64Array, requestClass: RequestClass) => boolean;
  /** Plans from here on are made at this time: what is asked for how long ends then. */
  readonly setNow: (nowMs: number) => void;
  /** How long what is placed stays, from here on; undefined: nobody knows. */
  readonly setSurvival: (survival: Survival | undefined) => void;
  /** One stands on this host from here on (1), or no longer (-1). */
  readonly expect: (slot: number, stay: Stay, sign: 1 | -1) => void;
  /** That of one of this class that is placed now. */
  readonly stayOf: (requestClass: RequestClass) => Stay;
  /** Another number whenever a host has become larger, smaller, ready or not. */
  readonly sizes: () => number;
  /** Something on this host is given up from here on: news for work that waits. */
  readonly stir: (slot: number) => void;
}

/** Scores remembered over all classes, 4.3 bytes each: 1,600 classes on 10,000 hosts in 70 MB. */
const MAX_SCORES = 2 ** 24;
/** How many growths are remembered; whoever asks about an older mark is told "perhaps". */
const GROWTHS = 1_024;
const NO_DEVICES: Granted["devices"] = [];
const NO_ATTRIBUTES: Attributes = { key: "", lookup: () => undefined };

/** `onChange` hears of every host whose room or state becomes another one, tentatively or not. */
export const createHostIndex = (
  maxScores: number = MAX_SCORES,
  onChange?: (slot: number) => void,
  layout: DeviceLayout = createDeviceLayout(),
): HostIndex => {
  const table = createHostTable(STRIDE, DIMENSIONS.length);
  const counts = createGroupCounts((group) => board.forgetShunned(group));
  const lookups: Lookup[] = [];
  const attributeKeys: string[] = [];
  const board = createScoreBoard(table, counts, lookups, maxScores, layout.width);
  const devicesOf: (readonly Device[])[] = [];
  const cellOf: (CellOf | undefined)[] = [];
  const { ids, ordered } = table;
  const growths = new Int32Array(GROWTHS);
  let growthCount = 0;
  let valuation = NO_VALUATION;
  let mixVersion = 0;
  let mixRequests: Mix["requests"] = [];
  let sizes = 0;
  let largest: Float64Array = new Float64Array(STRIDE);
  let largestAt = -1;
  const ends = createHostEnds();
  const slotsOf = imageSlots(table);
  let survival: Survival | undefined;
  let now = 0;

  const noteGrowth = (slot: number): void => {
    growths[growthCount % GROWTHS] = slot;
    growthCount += 1;
  };

  const change = (slot: number, requestClass: RequestClass, sign: 1 | -1): void => {
    const { groups } = requestClass;
    table.add(slot, requestClass, sign === 1 ? -1 : 1);
    onChange?.(slot);
    for (const group of groups) {
      board.recount(group, slot, counts.add(group, slot, sign), sign);
    }
  };

  const modelsOf = (slot: number) => ({ models: table.rows().models, modelsFrom: slot * (STRIDE - BASE) });

  const laneOf = (requestClass: RequestClass): Lane | undefined =>
    requestClass.unknown === null ? board.laneOf(askedOf(requestClass)) : undefined;

  const stayOf = ({ daemon, lastsMs }: RequestClass): Stay => ({
    atMs: lastsMs === null ? NO_END : now + lastsMs,
    sinceMs: daemon ? null : now,
  });

  /** How well the class goes with what stands on a host; undefined where nobody knows, or its job says where it would rather be. */
  const alignmentOf = (requestClass: RequestClass): Alignments | undefined => {
    const { daemon, lastsMs, rules } = requestClass;
    if (lastsMs !== null) return ends.alignments(now, lastsMs, ids.length);
    const isGuided = rules !== null && rules.prefer.length + rules.spread.length > 0;
    return survival === undefined || daemon || isGuided ? undefined : ends.company(now, survival, ids.length);
  };

  const largestNow = (): Float64Array => {
    if (largestAt === sizes) return largest;
    largestAt = sizes;
    return (largest = largestOf(table.rows().allocatable, ids.length));
  };

  /** Beside how much of what is placed comes back, it is the one that is known. */
  const isSameMix = ({ requests }: Mix, largestHosts: ArrayLike<number>): boolean => {
    if (requests !== mixRequests || requests.some(({ devices }) => devices !== undefined)) return false;
    const known = valuation.largest;
    for (let at = 0; at < STRIDE; at += 1) if (known[at] !== largestHosts[at]) return false;
    return true;
  };

  const checkFor = (requestClass: RequestClass): RuleCheck | null =>
    requestClass.rules === null ? null : (laneOf(requestClass)?.check ?? null);

  const refusals = (requestClass: RequestClass): ((slot: number) => RuleRejection | undefined) => {
    const check = checkFor(requestClass);
    if (check === null) return () => undefined;
    let sight: PlaceSight | undefined;
    return (slot) => {
      const hostId = ids[slot] as HostId;
      const found = againstHost(check, counts, slot);
      if (found !== undefined) return { hostId, ...failing(check, found, lookups[slot] as Lookup) };
      sight ??= sightOf(check, counts);
      const place = againstPlace(check, sight, slot);
      return place === undefined ? undefined : { hostId, ...place };
    };
  };

  const ruledOn = (slot: number, requestClass: RequestClass): Ruled => {
    const lane = requestClass.rules === null ? undefined : laneOf(requestClass);
    const check = lane?.check ?? null;
    if (lane === undefined || check === null || check.total === 1) return UNRULED;
    const { domainOf, values } = lane.strip.sheet.partition;
    const from = (domainOf[slot] as number) * check.places.length;
    const even = check.places.length === 0 ? 0 : evenness(check, sightOf(check, counts), values, from);
    return { total: check.total, preferred: check.preferred[slot] as number, even };
  };

  const refusal = (slot: number, requestClass: RequestClass): RuleRejection | undefined =>
    requestClass.rules === null ? undefined : refusals(requestClass)(slot);

  return {
    slotOf: (id) => {
      const slot = table.slotOf(id);
      lookups[slot] ??= NO_ATTRIBUTES.lookup;
      attributeKeys[slot] ??= NO_ATTRIBUTES.key;
      return slot;
    },
    setHost: (slot, all, isReady, attributes = NO_ATTRIBUTES, devices = [], isOpen = isReady) => {
      const comesOrGoes = (table.rows().ready[slot] === 1) !== isReady;
      const models = new Int32Array(STRIDE - BASE);
      devicesOf[slot] = devices;
      cellOf[slot] = cellsOf(devices);
      writeDevices(layout, devices, all, models);
      table.setHost(slot, all, isReady, models, isOpen);
      sizes += 1;
      onChange?.(slot);
      // It may have as much left as before, and be another one.
      board.touch(slot);
      if (comesOrGoes) board.forgetReady();
      if (attributeKeys[slot] !== attributes.key) {
        const before = lookups[slot] ?? NO_ATTRIBUTES.lookup;
        [lookups[slot], attributeKeys[slot]] = [attributes.lookup, attributes.key];
        board.relabel(slot, before);
      }
      noteGrowth(slot);
    },
    lookupOf: (slot) => lookups[slot] ?? NO_ATTRIBUTES.lookup,
    setWidth: (width) => {
      table.setWidth(width);
      board.forget();
    },
    book: (slot, requestClass, sign) => {
      change(slot, requestClass, sign);
      if (sign === -1) noteGrowth(slot);
    },
    tryOut: change,
    idOf: (slot) => ids[slot] as HostId,
    rows: table.rows,
    takes: (slot, requestClass, given) =>
      requestClass.unknown === null &&
      table.fits(slot, requestClass, given) &&
      refusal(slot, requestClass) === undefined,
    hasRoom: (slot, requestClass) => requestClass.unknown === null && table.fits(slot, requestClass),
    room: (slot) => {
      const { ready, open, allocatable, free, models } = table.rows();
      return {
        hostId: ids[slot] as HostId,
        ready: ready[slot] === 1,
        open: open[slot] === 1,
        allocatable: allocatable.subarray(slot * STRIDE, (slot + 1) * STRIDE),
        free: free.subarray(slot * STRIDE, (slot + 1) * STRIDE),
        models: models.subarray(slot * (STRIDE - BASE), (slot + 1) * (STRIDE - BASE)),
      };
    },
    inOrder: () => ordered,
    pick: (requestClass, image) => {
      const lane = laneOf(requestClass);
      if (lane === undefined) return -1;
      const aligned = alignmentOf(requestClass);
      const { rank } = table.rows();
      if (image === undefined) return bestOf(lane, counts, rank, aligned)?.slot ?? -1;
      return bestForImage(lane, counts, rank, 1, slotsOf(image), aligned)[0]?.slot ?? -1;
    },
    choose: (requestClass, limit, image) => {
      const lane = laneOf(requestClass);
      if (lane === undefined) return [];
      const aligned = alignmentOf(requestClass);
      const { rank } = table.rows();
      const found =
        image === undefined
          ? bestFew(lane, counts, rank, limit, aligned)
          : bestForImage(lane, counts, rank, limit, slotsOf(image), aligned);
      return found.map(({ slot, score }) => ({ slot, score: score / SCORE_UNITS, hostId: ids[slot] as HostId }));
    },
    refusal,
    refusals,
    rulesAgainst: (slot, requestClass) => {
      const check = checkFor(requestClass);
      if (check === null) return 0;
      const byHost = allAgainstHost(check, counts, slot, lookups[slot] as Lookup);
      return new Set([...byHost, ...allAgainstPlace(check, sightOf(check, counts), slot)]).size;
    },
    companions: (slot, requestClass) => {
      const check = checkFor(requestClass);
      return check === null ? [] : companionsOf(check, counts, slot);
    },
    setMix: (mix, by) => {
      if (mix.version === mixVersion) return;
      mixVersion = mix.version;
      const measure = padded(by ?? largestNow());
      if (isSameMix(mix, measure)) {
        valuation = { ...valuation, returns: mix.returns };
        board.setReturns(valuation);
        return;
      }
      mixRequests = mix.requests;
      valuation = valuate(mix, measure, layout);
      board.setValuation(valuation);
    },
    valuation: () => valuation,
    explain: (slot, requestClass, image) => {
      const aligned = alignmentOf(requestClass);
      const ends = aligned === undefined ? undefined : { name: aligned.name, aligned: aligned.of(slot) };
      const scored = explainRuled(board.explain(slot, requestClass), ruledOn(slot, requestClass), ends);
      return image === undefined ? scored : explainWithImage(scored, slotsOf(image).soonOn(slot));
    },
    mark: () => growthCount,
    grownFor: (since, requestClass, given) => {
      if (growthCount - since > GROWTHS) return true;
      for (let at = since; at < growthCount; at += 1) {
        if (table.fits(growths[at % GROWTHS] as number, requestClass, given)) return true;
      }
      return false;
    },
    grownSince: (since) =>
      growthCount - since > GROWTHS
        ? undefined
        : Array.from({ length: growthCount - since }, (_, at) => growths[(since + at) % GROWTHS] as number),
    hasDevices: (slot, room, { wishes }) =>
      wishes.length === 0 || unfulfilled({ free: room, from: 0, ...modelsOf(slot) }, wishes) === undefined,
    grant: (slot, requestClass, within) => {
      const { wishes } = requestClass;
      if (wishes.length === 0) return { requestClass, devices: NO_DEVICES };
      const request = requestClass.request.slice();
      const chosen = new Map<string, { readonly wish: Wish; readonly ordinal: number }>();
      const room = {
        free: within ?? table.rows().free,
        from: within === undefined ? slot * STRIDE : 0,
        ...modelsOf(slot),
      };
      const devices = devicesOf[slot] ?? [];
      const take = (column: number, amount: number, wish: Wish, ordinal: number): void => {
        request[column] = amount;
        chosen.set(`${wish.ask.kind}/${ordinal}`, { wish, ordinal });
      };
      if (!choose(room, wishes, take, cellOf[slot])) return undefined;
      return {
        requestClass: bookedAs(requestClass, request),
        devices: grantsOf(devices, [...chosen.values()]),
      };
    },
    setNow: (nowMs) => {
      now = nowMs;
    },
    setSurvival: (next) => {
      survival = next;
    },
    expect: ends.count,
    stayOf,
    stir: noteGrowth,
    sizes: () => sizes,
  };
};
