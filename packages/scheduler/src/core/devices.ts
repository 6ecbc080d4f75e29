/**
 * Devices as the packer sees them. What is free of each device of a host stands in columns of the host's row, behind the
 * dimensions: `gpu/0/milli` is the first GPU of a host. What an allocation has of devices is a vector of such columns too,
 * so that everything that adds and subtracts vectors (ledgers, ends, promises, victims) knows devices without knowing it.
 * Only the question of fit, and the choice, have to look at devices one by one.
 */
import { CELL_KIND, cpuNumbers, type Device, type DeviceAsk, type DeviceGrant } from "@berth/schema";
import { BASE, STRIDE, type Vector } from "./vector.ts";

/** Where columns are, of all hosts alike. Grows only, in the order in which devices become known. */
export interface DeviceLayout {
  /** Names of the columns, the first of which stands at BASE. */
  readonly names: readonly string[];
  /** Makes columns for devices, as far as there are any left. True when some are new. */
  readonly learn: (devices: readonly Device[]) => boolean;
  /** How many more columns these would take than there are left; 0: none. */
  readonly lacksFor: (devices: readonly Device[]) => number;
  readonly restore: (names: readonly string[]) => void;
  /** Columns of one amount by ordinal; the array grows with what is learned. */
  readonly columnsOf: (kind: string, name: string) => readonly number[];
  /** A number that is the same for equal models. */
  readonly modelOf: (name: string | undefined) => number;
  /** The same for one that is only asked for. */
  readonly askedModelOf: (name: string) => number;
  /** So many vectors have columns in use. */
  readonly width: () => number;
}

/** A wish as the packer reads it. */
export interface Wish {
  readonly ask: DeviceAsk;
  readonly count: number;
  /** Null: any model. */
  readonly models: ReadonlySet<number> | null;
  readonly amounts: readonly { readonly each: number; readonly columns: readonly number[] }[];
}

export const NO_WISHES: readonly Wish[] = [];

/** In the order of their ids, so that a host that says the same in another order is the same. */
const ordered = (devices: readonly Device[]): readonly Device[] =>
  devices.toSorted((a, b) => (a.kind === b.kind ? compareIds(a.id, b.id) : a.kind < b.kind ? -1 : 1));

const compareIds = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

/** Calls with each device and its position among those of its kind. */
const eachDevice = (devices: readonly Device[], call: (device: Device, ordinal: number) => void): void => {
  let [kind, ordinal] = ["", 0];
  for (const device of ordered(devices)) {
    ordinal = device.kind === kind ? ordinal + 1 : 0;
    kind = device.kind;
    call(device, ordinal);
  }
};

/** So many names of kinds and models are remembered that requests have brought up. */
const MAX_ASKED = 4_096;
/** No device is of it. */
const NO_MODEL = -1;

export const createDeviceLayout = (): DeviceLayout => {
  const names: string[] = [];
  const known = new Set<string>();
  const columns = new Map<string, number[]>();
  const models = new Map<string, number>();
  const columnsOf = (key: string): number[] => {
    let found = columns.get(key);
    if (found === undefined) columns.set(key, (found = []));
    return found;
  };
  const add = (name: string): boolean => {
    if (known.has(name) || BASE + names.length >= STRIDE) return false;
    const [kind = "", ordinal = "", amount = ""] = name.split("/");
    known.add(name);
    columnsOf(`${kind}/${amount}`)[Number(ordinal)] = BASE + names.length;
    names.push(name);
    return true;
  };
  const modelOf = (name: string | undefined): number => {
    if (name === undefined) return 0;
    let id = models.get(name);
    if (id === undefined) models.set(name, (id = models.size + 1));
    return id;
  };
  return {
    names,
    learn: (devices) => {
      let isNew = false;
      eachDevice(devices, ({ kind, has }, ordinal) => {
        for (const amount of Object.keys(has).sort()) isNew = add(`${kind}/${ordinal}/${amount}`) || isNew;
      });
      return isNew;
    },
    lacksFor: (devices) => {
      let news = 0;
      eachDevice(devices, ({ kind, has }, ordinal) => {
        for (const amount of Object.keys(has)) if (!known.has(`${kind}/${ordinal}/${amount}`)) news += 1;
      });
      return Math.max(0, BASE + names.length + news - STRIDE);
    },
    restore: (all) => all.forEach(add),
    // What is only asked for is remembered too, since a host may have it some day, but not without bound.
    columnsOf: (kind, name) =>
      columns.get(`${kind}/${name}`) ?? (columns.size < MAX_ASKED ? columnsOf(`${kind}/${name}`) : []),
    modelOf,
    askedModelOf: (name) => models.get(name) ?? (models.size < MAX_ASKED ? modelOf(name) : NO_MODEL),
    width: () => names.length,
  };
};

export const wishesOf = (
  layout: DeviceLayout,
  { devices }: { readonly devices?: readonly DeviceAsk[] | undefined },
): readonly Wish[] =>
  devices === undefined || devices.length === 0
    ? NO_WISHES
    : devices.map((ask) => ({
        ask,
        count: ask.count,
        models: ask.models === undefined ? null : new Set(ask.models.map(layout.askedModelOf)),
        amounts: Object.entries(ask.each)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, each]) => ({ each, columns: layout.columnsOf(ask.kind, name) })),
      }));

/** Writes what a host has of devices into its vector, and their models beside it. */
export const writeDevices = (
  layout: DeviceLayout,
  devices: readonly Device[],
  vector: Vector,
  models: Int32Array,
): void =>
  eachDevice(devices, ({ kind, model, has }, ordinal) => {
    for (const [name, amount] of Object.entries(has)) {
      const column = layout.columnsOf(kind, name)[ordinal];
      if (column === undefined) continue;
      vector[column] = amount;
      models[column - BASE] = layout.modelOf(model);
    }
  });

/** Room on one host: `free` from `from` on, its models from `models[modelsFrom]` on; `given` comes to what is free. */
export interface DeviceRoom {
  readonly free: Float64Array;
  readonly from: number;
  readonly models: Int32Array;
  readonly modelsFrom: number;
  readonly given?: Float64Array | undefined;
}

/** How often a device could give each of a wish, parts of a time counted; below 1: not at all. */
const timesOn = ({ free, from, models, modelsFrom, given }: DeviceRoom, wish: Wish, ordinal: number): number => {
  let times = Number.POSITIVE_INFINITY;
  for (const { each, columns } of wish.amounts) {
    const column = columns[ordinal];
    if (column === undefined) return 0;
    if (wish.models !== null && !wish.models.has(models[modelsFrom + column - BASE] as number)) return 0;
    if (each === 0) continue;
    const left = (free[from + column] as number) + (given === undefined ? 0 : (given[from + column] as number));
    times = Math.min(times, left / each);
  }
  return Math.max(0, times);
};

const ordinalsOf = ({ amounts }: Wish): number => amounts[0]?.columns.length ?? 0;

/** The devices that could give each of a wish now. */
const ableFor = (room: DeviceRoom, wish: Wish): number[] => {
  const able: number[] = [];
  for (let ordinal = 0; ordinal < ordinalsOf(wish); ordinal += 1) {
    if (timesOn(room, wish, ordinal) >= 1) able.push(ordinal);
  }
  return able;
};

/** The first wish that the devices of a host cannot fulfil. */
export const unfulfilled = (room: DeviceRoom, wishes: readonly Wish[]): Wish | undefined => {
  for (const wish of wishes) {
    let able = 0;
    for (let ordinal = 0; able < wish.count && ordinal < ordinalsOf(wish); ordinal += 1) {
      if (timesOn(room, wish, ordinal) >= 1) able += 1;
    }
    if (able < wish.count) return wish;
  }
  return undefined;
};

/**
 * How much the devices of a host are good for: how often they could fulfil all wishes of a task, one task after the other
 * (`places`), and what is left of those that could do it once, in tasks and not rounded down (`loose`): the complement of what
 * FGD calls fragments (Weng et al., Beware of Fragmentation, ATC'23).
 */
export interface Good {
  places: number;
  loose: number;
}

export const goodFor = (room: DeviceRoom, wishes: readonly Wish[], good: Good): void => {
  good.places = Number.POSITIVE_INFINITY;
  good.loose = Number.POSITIVE_INFINITY;
  for (const wish of wishes) {
    let [times, loose] = [0, 0];
    for (let ordinal = 0; ordinal < ordinalsOf(wish); ordinal += 1) {
      const exactly = timesOn(room, wish, ordinal);
      if (exactly < 1) continue;
      times += Math.floor(exactly);
      loose += exactly;
    }
    good.places = Math.min(good.places, Math.floor(times / wish.count));
    good.loose = Math.min(good.loose, loose / wish.count);
  }
};

/** The cell of processors that a device is, or is attached to. */
export type CellOf = (kind: string, ordinal: number) => string | undefined;

/** Of these devices, or undefined where none says one: then there is nothing to keep together. */
export const cellsOf = (devices: readonly Device[]): CellOf | undefined => {
  if (devices.every(({ cell }) => cell === undefined)) return undefined;
  const cells = new Map<string, string>();
  eachDevice(devices, ({ kind, id, cell }, ordinal) => {
    const its = kind === CELL_KIND ? id : cell;
    if (its !== undefined) cells.set(`${kind}/${ordinal}`, its);
  });
  return (kind, ordinal) => cells.get(`${kind}/${ordinal}`);
};

/** Devices that could fulfil a wish, the best of them first. */
interface Able {
  readonly wish: Wish;
  readonly ordinals: number[];
}

/** Those of the cell that can give most of all wishes come first; of equals it is the one of the best devices. */
const gather = (able: readonly Able[], cellOf: CellOf): void => {
  const isIn = (cell: string, { ask }: Wish, ordinal: number): boolean => cellOf(ask.kind, ordinal) === cell;
  const all = able.flatMap(({ wish, ordinals }) => ordinals.map((ordinal) => cellOf(wish.ask.kind, ordinal)));
  let [best, most] = ["", 0];
  for (const cell of new Set(all.filter((one) => one !== undefined))) {
    let gives = 0;
    for (const { wish, ordinals } of able)
      gives += Math.min(wish.count, ordinals.filter((ordinal) => isIn(cell, wish, ordinal)).length);
    if (gives > most) [best, most] = [cell, gives];
  }
  for (const { wish, ordinals } of able)
    ordinals.sort((a, b) => Number(isIn(best, wish, b)) - Number(isIn(best, wish, a)));
};

/**
 * Chooses devices and calls with every column that is taken from, and how much; false when there are too few. The
 * fullest that will do first: what is begun is finished before another is. With `cellOf` they are of one cell where that is
 * possible, whatever is begun elsewhere.
 */
export const choose = (
  room: DeviceRoom,
  wishes: readonly Wish[],
  take: (column: number, amount: number, wish: Wish, ordinal: number) => void,
  cellOf?: CellOf,
): boolean => {
  const able: Able[] = [];
  for (const wish of wishes) {
    const ordinals = ableFor(room, wish);
    if (ordinals.length < wish.count) return false;
    const first = wish.amounts[0] as Wish["amounts"][number];
    const left = (ordinal: number): number => room.free[room.from + (first.columns[ordinal] as number)] as number;
    ordinals.sort((a, b) => left(a) - left(b) || a - b);
    able.push({ wish, ordinals });
  }
  const isOne = able.length === 1 && able[0]?.wish.count === 1;
  if (cellOf !== undefined && !isOne) gather(able, cellOf);
  for (const { wish, ordinals } of able) {
    for (const ordinal of ordinals.slice(0, wish.count)) {
      for (const { each, columns } of wish.amounts) take(columns[ordinal] as number, each, wish, ordinal);
    }
  }
  return true;
};

/** The grants of what was chosen, by the ids that the host gave its devices. */
export const grantsOf = (
  devices: readonly Device[],
  chosen: readonly { readonly wish: Wish; readonly ordinal: number }[],
): DeviceGrant[] => {
  const byPlace = new Map<string, Device>();
  eachDevice(devices, (device, ordinal) => byPlace.set(`${device.kind}/${ordinal}`, device));
  return chosen.map(({ wish: { ask }, ordinal }) => ({
    kind: ask.kind,
    id: byPlace.get(`${ask.kind}/${ordinal}`)?.id ?? String(ordinal),
    amounts: { ...ask.each },
  }));
};

/**
 * What grants book: `request` with the columns of these devices. What the host has no more is booked nowhere; processors that
 * are somebody's own are booked where they are now, whatever that cell is called meanwhile, or by its name where it says none.
 */
export const withGrants = (
  layout: DeviceLayout,
  devices: readonly Device[],
  request: Vector,
  grants: readonly DeviceGrant[],
): Vector => {
  const vector = request.slice();
  const named = new Set(grants.flatMap(({ cpus }) => (cpus === undefined ? [] : cpuNumbers(cpus))));
  eachDevice(devices, ({ kind, id, cpus }, ordinal) => {
    const book = (name: string, amount: number): void => {
      const column = layout.columnsOf(kind, name)[ordinal];
      if (column !== undefined) vector[column] = (vector[column] as number) + amount;
    };
    if (named.size > 0 && cpus !== undefined) book("cpus", cpuNumbers(cpus).filter((cpu) => named.has(cpu)).length);
    for (const grant of grants) {
      if (grant.kind !== kind || grant.id !== id) continue;
      for (const [name, amount] of Object.entries(grant.amounts))
        if (name !== "cpus" || grant.cpus === undefined || cpus === undefined) book(name, amount);
    }
  });
  return vector;
};

/** The size of wishes in whole devices, by the largest there are (`largest`: a vector). */
export const sizeOfWishes = (wishes: readonly Wish[], largest: ArrayLike<number>): number => {
  let size = 0;
  for (const { count, amounts } of wishes) {
    let most = 0;
    for (const { each, columns } of amounts) {
      const all = largest[columns[0] ?? -1] ?? 0;
      if (all > 0) most = Math.max(most, each / all);
    }
    size += count * most;
  }
  return size;
};
