/**
 * Moving what already runs: items sit on hosts and may sit on others, under hard rules, so that a cost falls. The problem is
 * the machine reassignment of the ROADEF/EURO challenge 2012 (problem definition by Google), with three additions that a
 * cluster needs: items that may not move, a bound on moves, and a price for every host that is not empty. All in flat
 * arrays with integer amounts; a table of `hosts` rows and `dimensions` columns is row-major.
 *
 * An item that leaves its first host goes on occupying it in the `held` dimensions until all moves are done: the copy that
 * is being made needs the room as well.
 */
export interface Reassignment {
  readonly dimensions: number;
  readonly hosts: number;
  readonly items: number;
  readonly groups: number;
  /** hosts × dimensions: what may be booked. */
  readonly capacity: Float64Array;
  /** hosts × dimensions: use above it costs `loadWeight` a unit. */
  readonly comfort: Float64Array;
  readonly loadWeight: Float64Array;
  readonly held: Uint8Array;
  /** items × dimensions. */
  readonly request: Float64Array;
  /** The host of each item before anything moved. */
  readonly first: Int32Array;
  /** 1: stays where it is. */
  readonly fixed: Uint8Array;
  /** How many items may be elsewhere than at first. */
  readonly maxMoves: number;
  readonly groupOf: Int32Array;
  /** groups × hosts: 1 where the group may be; null: everywhere. */
  readonly allowed: Uint8Array | null;
  /** How many items of a group one host may have. */
  readonly mostPerHost: Int32Array;
  /** Hosts lie in domains; a group must be in at least so many of them. */
  readonly domainOf: Int32Array;
  readonly leastDomains: Int32Array;
  /** Hosts lie in zones; where a group has an item, each group that it needs must have one, too. */
  readonly zoneOf: Int32Array;
  readonly needs: readonly (readonly number[])[];
  /** Costs `weight` for every unit by which what is left of `under` falls short of `target` times what is left of `over`. */
  readonly balances: readonly Balance[];
  /** Cost of having moved each item. */
  readonly moveCost: Float64Array;
  /** Cost of the largest number of moved items in one group, each. */
  readonly groupMoveWeight: number;
  /** hosts × hosts: cost of the way from the first host to the present one; null: none. */
  readonly pathCost: Float64Array | null;
  /**
   * Price of a full host. One that is not empty costs at least half of it, and more than its share of the rest: work
   * gathers, and the last item that leaves a host is worth most.
   */
  readonly openWeight: number;
}

export interface Balance {
  readonly over: number;
  readonly under: number;
  readonly target: number;
  readonly weight: number;
}

export const largest = (values: Int32Array): number => values.reduce((most, value) => Math.max(most, value), -1);

/**
 * What a unit of each dimension is worth, as costs go: what it costs above comfort or, where that costs nothing, what a share
 * of the largest host as large costs in the other dimensions.
 */
export const worthOf = ({ capacity, dimensions, hosts, loadWeight, openWeight }: Reassignment): Float64Array => {
  const most = new Float64Array(dimensions);
  for (let at = 0; at < hosts * dimensions; at += 1) {
    most[at % dimensions] = Math.max(most[at % dimensions] as number, capacity[at] as number);
  }
  const host = loadWeight.reduce((sum, weight, at) => Math.max(sum, weight * (most[at] as number)), openWeight);
  return loadWeight.map((weight, at) =>
    weight > 0 ? weight : (host > 0 ? host : 1) / Math.max(1, most[at] as number),
  );
};

/**
 * What one host costs with this use of it. Concave in the load where hosts have a price: of two half-empty hosts, one full
 * and one empty are cheaper.
 */
export const hostCost = (problem: Reassignment, host: number, used: Float64Array, from: number): number => {
  const { capacity, comfort, loadWeight, balances, dimensions, openWeight } = problem;
  const base = host * dimensions;
  let cost = 0;
  for (let at = 0; at < dimensions; at += 1) {
    const over = (used[from + at] as number) - (comfort[base + at] as number);
    if (over > 0) cost += over * (loadWeight[at] as number);
  }
  for (let at = 0; at < balances.length; at += 1) {
    const { over, under, target, weight } = balances[at] as Balance;
    const left = (capacity[base + over] as number) - (used[from + over] as number);
    const other = (capacity[base + under] as number) - (used[from + under] as number);
    const short = target * left - other;
    if (short > 0) cost += weight * short;
  }
  if (openWeight > 0) {
    let load = 0;
    for (let at = 0; at < dimensions; at += 1) {
      const all = capacity[base + at] as number;
      if (all > 0) load += (used[from + at] as number) / all;
    }
    load /= dimensions;
    if (load > 0) cost += (openWeight / 2) * (1 + load * (2 - load));
  }
  return cost;
};
