/**
 * The score, counted fast. What a host has is surveyed once for every change of it: how many places it has for each request
 * of the mix, and in which dimensions any request could cost it one. On most hosts these are one or two, so that a score is
 * a few multiplications, whatever the number of dimensions.
 */
import type { ScoreBreakdown } from "@berth/schema";
import { choose, goodFor, type DeviceRoom, type Good, type Wish } from "./devices.ts";
import { explainFullness, explainPacking, FULLNESS_WEIGHT, HAIR, ownSize, packed, type Valuation } from "./score.ts";
import { BASE } from "./vector.ts";

/** Hosts as a scorer sees them: flat arrays, one row for each. */
export interface Standings {
  /** What is free and 1 / all of it, by dimension; behind them what is free of devices, by column. */
  readonly free: Float64Array;
  readonly perUnit: Float64Array;
  /** How often each request of the mix fits. */
  readonly places: Float64Array;
  /** What is left of devices for each request of the mix, in requests: see Good. */
  readonly loose: Float64Array;
  /** The dimensions in which a request could cost a place, one bit each. */
  readonly binding: Int32Array;
  /** What all places of an idle host are worth; 0 where something stands. */
  readonly opening: Float64Array;
  /** How much of that counts at least where the host has devices: see idle-kinds.ts. */
  readonly guarded: Float64Array;
  /** Models of devices, by column. */
  readonly models: Int32Array;
}

/** A request as a scorer sees it. */
export interface Ask {
  readonly request: Float64Array;
  /** See RequestClass. */
  readonly wishes: readonly Wish[];
  readonly columns: boolean;
  /** For how long at most; null: nobody knows. */
  readonly lastsMs: number | null;
}

/** Scores requests on hosts, for one valuation and so many dimensions. */
export interface Scorer {
  /** The mix, narrowed to the dimensions in use, one row of `mixRows` per dimension: 1 / amount. */
  readonly inverse: Float64Array;
  /** Lifts those that nobody asks for. */
  readonly idle: Float64Array;
  /** Whether devices of a host matter to any score on it. */
  readonly isForDevices: (standings: Standings, slot: number) => boolean;
  /** What the devices of a host leave of its places, and `loose`. */
  readonly surveyDevices: (standings: Standings, slot: number) => void;
  /** Fills in `opening`, of places that are known. */
  readonly surveyOpening: (standings: Standings, slot: number) => void;
  /** 0 … SCORE_UNITS, higher is better; CANNOT when the request does not fit. `own`: its size under the valuation. */
  readonly units: (standings: Standings, slot: number, ask: Ask, own: number) => number;
  /** The same number, as a share, with its ingredients; for a request that fits. */
  readonly explain: (standings: Standings, slot: number, ask: Ask) => ScoreBreakdown;
}

/** Where a request does not fit. */
export const CANNOT = -1;

/** What is left of devices beside what is left of places: FGD's measure beside that of lost places. */
const LOOSE_WEIGHT = 2;
/** Beside devices. They are few and large: how full a host is breaks ties, and no more. */
const DEVICE_FULLNESS_WEIGHT = 0.003;

/** A dimension that a request does not ask for never limits it. */
export const UNLIMITED = 1e15;

/** So much of a host is free when nothing stands there, but for rounding. */
export const NEARLY_ALL = 1 - HAIR;

/** Rows of `places` have so many numbers, for a mix of so many requests: two are counted at a time. */
export const mixRows = (count: number): number => count + (count & 1);

/** How much of the room of a request comes back: all of it, when it has to end. */
export const returnsOf = ({ returns }: Pick<Valuation, "returns">, lastsMs: number | null): number =>
  lastsMs === null ? returns : 1;

const lowestBit = (bits: number): number => 31 - Math.clz32(bits & -bits);

/** For so many dimensions, and so many columns of devices behind them. */
export const createScorer = (valuation: Valuation, size: number, columns = 0): Scorer => {
  const { count, values, wishes } = valuation;
  const row = size + columns;
  /** Requests of the mix that need devices. */
  const wishing = wishes.flatMap((some, at) => (some.length > 0 ? [at] : []));
  const stride = valuation.largest.length;
  const rows = mixRows(count);
  const inverse = new Float64Array(size * rows);
  const idle = new Float64Array(size * rows);
  for (let row = 0; row < count; row += 1) {
    for (let at = 0; at < size; at += 1) {
      const each = valuation.inverse[row * stride + at] as number;
      inverse[at * rows + row] = each;
      idle[at * rows + row] = each === 0 ? UNLIMITED : HAIR;
    }
  }
  const good: Good = { places: 0, loose: 0 };
  /** What would be left of the host. */
  const rest = new Float64Array(size);
  /** What would be left of the devices of the host that is looked at. */
  const restOfDevices = new Float64Array(columns);

  const devicesOf = ({ free, models }: Standings, slot: number): DeviceRoom => ({
    free,
    // A column of a vector is found where it stands behind the dimensions in use.
    ...{ from: slot * row + size - BASE, models, modelsFrom: slot * columns },
  });

  /** A host with devices is there for those who need some: whoever needs none has places elsewhere. */
  const isForDevices = ({ perUnit }: Standings, slot: number): boolean => {
    if (wishing.length === 0) return false;
    for (let at = size; at < row; at += 1) if ((perUnit[slot * row + at] as number) > 0) return true;
    return false;
  };

  const surveyDevices = (standings: Standings, slot: number): void => {
    const { places, loose } = standings;
    const to = slot * rows;
    const room = devicesOf(standings, slot);
    for (let at = 0; at < count; at += 1) {
      const some = wishes[at] as readonly Wish[];
      if (some.length > 0 && (places[to + at] as number) > 0) goodFor(room, some, good);
      else good.places = 0;
      places[to + at] = Math.min(places[to + at] as number, good.places);
      loose[to + at] = good.places > 0 ? good.loose : 0;
    }
  };

  const isIdle = ({ free, perUnit }: Standings, slot: number): boolean => {
    for (let at = slot * row; at < slot * row + size; at += 1) {
      const unit = perUnit[at] as number;
      if (unit > 0 && (free[at] as number) * unit < NEARLY_ALL) return false;
    }
    return true;
  };

  const surveyOpening = (standings: Standings, slot: number): void => {
    let sum = 0;
    if (isIdle(standings, slot)) {
      const { places, loose } = standings;
      const from = slot * rows;
      const weight = isForDevices(standings, slot) ? LOOSE_WEIGHT : 0;
      for (let at = 0; at < count; at += 1) {
        sum += (values[at] as number) * ((places[from + at] as number) + weight * (loose[from + at] as number));
      }
    }
    standings.opening[slot] = sum;
  };

  /** What the places are worth that the host has now and would not have with what is in `rest`. */
  const loss = (places: Float64Array, from: number, binding: number): number => {
    if (binding === 0) return 0;
    // Mostly one or two bind: one is looked at twice then.
    const one = lowestBit(binding);
    const others = binding & (binding - 1);
    const two = others === 0 ? one : lowestBit(others);
    const [inOne, inTwo] = [rest[one] as number, rest[two] as number];
    const [baseOne, baseTwo] = [one * rows, two * rows];
    const further = others & (others - 1);
    let sum = 0;
    for (let row = 0; row < count; row += 1) {
      const before = places[from + row] as number;
      if (before === 0) continue;
      let least = inOne * (inverse[baseOne + row] as number) + (idle[baseOne + row] as number);
      const second = inTwo * (inverse[baseTwo + row] as number) + (idle[baseTwo + row] as number);
      if (second < least) least = second;
      for (let bits = further; bits !== 0; bits &= bits - 1) {
        const at = lowestBit(bits);
        const fits = (rest[at] as number) * (inverse[at * rows + row] as number) + (idle[at * rows + row] as number);
        if (fits < least) least = fits;
      }
      if (least < before) sum += (values[row] as number) * (before - Math.floor(least));
    }
    return sum;
  };

  /** The same on a host with devices: `room` is what would be left of them. */
  const lossOfDevices = ({ places, loose }: Standings, slot: number, room: DeviceRoom): number => {
    let sum = 0;
    for (const of of wishing) {
      const before = places[slot * rows + of] as number;
      if (before === 0) continue;
      let least = before;
      for (let at = 0; at < size; at += 1) {
        const fits = (rest[at] as number) * (inverse[at * rows + of] as number) + (idle[at * rows + of] as number);
        if (fits < least) least = fits;
      }
      least = Math.floor(least);
      if (least > 0) {
        goodFor(room, wishes[of] as readonly Wish[], good);
        least = Math.min(least, good.places);
      }
      const lostLoose = (loose[slot * rows + of] as number) - (least > 0 ? good.loose : 0);
      sum += (values[of] as number) * (before - least + LOOSE_WEIGHT * lostLoose);
    }
    return sum;
  };

  const keptOn = (standings: Standings, slot: number, own: number, returns: number): number =>
    kept(opened(standings, slot, returns, loss(standings.places, slot * rows, standings.binding[slot] as number)), own);

  /** Whoever opens a host that could stay closed costs all of it. */
  const opened = ({ opening }: Standings, slot: number, returns: number, lost: number): number =>
    Math.max(lost, returns * (opening[slot] as number));

  /** A whole device instead of the own size: whoever asks for none must not find all such hosts alike. */
  const devicesKept = (standings: Standings, slot: number, returns: number, room: DeviceRoom | null): number => {
    const share = Math.max(returns, standings.guarded[slot] as number);
    return kept(opened(standings, slot, share, lossOfDevices(standings, slot, room ?? devicesOf(standings, slot))), 1);
  };

  /** What is left of devices goes to `restOfDevices`; undefined when the request does not fit there. */
  const takeDevices = (
    room: DeviceRoom,
    request: Float64Array,
    { wishes: asked, columns: named }: Pick<Ask, "wishes" | "columns">,
  ) => {
    for (let at = 0; at < columns; at += 1) {
      restOfDevices[at] = (room.free[room.from + BASE + at] as number) - (named ? (request[BASE + at] as number) : 0);
      if (named && (request[BASE + at] as number) > 0 && (restOfDevices[at] as number) < 0) return undefined;
    }
    const taken = choose(room, asked, (column, amount) => {
      restOfDevices[column - BASE] = (restOfDevices[column - BASE] as number) - amount;
    });
    return taken ? { ...room, free: restOfDevices, from: -BASE } : undefined;
  };

  /** 0: every dimension would stay empty … 1: all exactly full. The square rewards finishing a nearly full host. */
  const fullness = (perUnit: Float64Array, from: number): number => {
    let empty = 0;
    for (let at = 0; at < size; at += 1) {
      // A dimension that the host does not have counts as full.
      const share = (rest[at] as number) * (perUnit[from + at] as number);
      empty += share * share;
    }
    return 1 - empty / size;
  };

  /** Whoever has no place to lose loses none. */
  const kept = (lost: number, own: number): number => (lost === 0 ? 1 : own / (own + lost));

  const unitsOf = (full: number, keeps: number, weight: number): number =>
    packed(full, keeps, count === 0 ? 1 : weight);

  /** False when the request is more than there is. */
  const take = (free: Float64Array, from: number, request: Float64Array): boolean => {
    for (let at = 0; at < size; at += 1) {
      const wanted = request[at] as number;
      const remains = (free[from + at] as number) - wanted;
      if (remains >= 0) rest[at] = remains;
      else if (wanted > 0) return false;
      // Overbooked already, which whoever asks for nothing of it does not make worse: it counts as full.
      else rest[at] = 0;
    }
    return true;
  };

  return {
    inverse,
    idle,
    isForDevices,
    surveyDevices,
    surveyOpening,
    units: (standings, slot, { request, wishes: asked, columns: named, lastsMs }, own) => {
      const { free, perUnit } = standings;
      if (!take(free, slot * row, request)) return CANNOT;
      let room: DeviceRoom | null | undefined = null;
      if (asked.length > 0 || named) {
        room = takeDevices(devicesOf(standings, slot), request, { wishes: asked, columns: named });
        if (room === undefined) return CANNOT;
      }
      const full = fullness(perUnit, slot * row);
      return isForDevices(standings, slot)
        ? unitsOf(full, devicesKept(standings, slot, returnsOf(valuation, lastsMs), room), DEVICE_FULLNESS_WEIGHT)
        : unitsOf(full, keptOn(standings, slot, own, returnsOf(valuation, lastsMs)), FULLNESS_WEIGHT);
    },
    explain: (standings, slot, { request, wishes: asked, columns: named, lastsMs }) => {
      take(standings.free, slot * row, request);
      const full = fullness(standings.perUnit, slot * row);
      if (count === 0) return explainFullness(full);
      const room =
        asked.length > 0 || named
          ? takeDevices(devicesOf(standings, slot), request, { wishes: asked, columns: named })
          : undefined;
      const hasSome = isForDevices(standings, slot);
      const returns = returnsOf(valuation, lastsMs);
      const keeps = hasSome
        ? devicesKept(standings, slot, returns, room ?? null)
        : keptOn(standings, slot, ownSize(valuation, request), returns);
      return explainPacking(full, keeps, hasSome ? DEVICE_FULLNESS_WEIGHT : FULLNESS_WEIGHT);
    },
  };
};
