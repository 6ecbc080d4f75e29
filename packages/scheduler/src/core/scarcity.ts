/**
 * How scarce places are for requests that need devices: for how many there would be room if all that is free of these devices
 * lay together and had all else beside it, over how many there is room. A place of which there are few is worth more than one of
 * which there are many: what has devices left, and no processors beside them, is wanted by few; whole hosts are left to those
 * who can go nowhere else; and whoever needs little takes what others can least use.
 *
 * To the fourth power, so that it outweighs how often and how large: of what is left at the end, each kind of request shall still have some.
 */
import { goodFor, wishesOf, type Good, type Wish } from "./devices.ts";
import type { Asked } from "./demand.ts";
import type { MutableState } from "./state.ts";
import { BASE, STRIDE } from "./vector.ts";

/** More than there is of anything. */
const PLENTY = 1e15;

interface Counted {
  readonly request: Float64Array;
  readonly wishes: readonly Wish[];
  places: number;
}

/** What all of the free devices would be good for, in requests. */
const togetherFor = (left: Float64Array, wishes: readonly Wish[]): number => {
  let together = PLENTY;
  for (const { count, amounts } of wishes) {
    for (const { each, columns } of amounts) {
      const all = columns.reduce((sum, column) => sum + (left[column] as number), 0);
      if (each > 0) together = Math.min(together, all / (each * count));
    }
  }
  return together;
};

/** Of each request; 1 for whoever needs no devices. Whole numbers are added up, so that the order of hosts is all the same. */
export const scarcitiesOf = (
  { devices: layout, dimensions, hosts, index }: Pick<MutableState, "devices" | "dimensions" | "hosts" | "index">,
  requests: readonly Asked[],
): readonly number[] => {
  const counted = requests.map((asked): Counted => ({
    request: asked.request,
    wishes: wishesOf(layout, asked),
    places: 0,
  }));
  const wishing = counted.filter(({ wishes }) => wishes.length > 0);
  if (wishing.length === 0) return requests.map(() => 1);
  const { free, models, ready } = index.rows();
  const left = new Float64Array(STRIDE);
  const good: Good = { places: 0, loose: 0 };
  for (const { slot } of hosts.values()) {
    if (ready[slot] !== 1) continue;
    const from = slot * STRIDE;
    let isWithout = true;
    for (let column = BASE; column < STRIDE; column += 1) {
      const amount = free[from + column] as number;
      if (amount <= 0) continue;
      left[column] = (left[column] as number) + amount;
      isWithout = false;
    }
    if (isWithout) continue;
    const room = { free, from, models, modelsFrom: slot * (STRIDE - BASE) };
    for (const one of wishing) {
      let places = PLENTY;
      for (let at = 0; at < dimensions.length && places > 0; at += 1) {
        const wanted = one.request[at] as number;
        if (wanted > 0) places = Math.min(places, Math.floor((free[from + at] as number) / wanted));
      }
      if (places <= 0) continue;
      goodFor(room, one.wishes, good);
      one.places += Math.min(places, good.places);
    }
  }
  return counted.map(({ places, wishes }) => {
    if (wishes.length === 0) return 1;
    const scarcity = (togetherFor(left, wishes) + 1) / (places + 1);
    const squared = scarcity * scarcity;
    return squared * squared;
  });
};
