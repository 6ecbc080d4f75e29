/**
 * The same arrangement by fewer moves, whose order does not matter. Tasks of one group are alike: where one goes to a host
 * that another leaves, it may as well go the whole way, and the other stay. Otherwise a host would have one too many of them
 * for a moment, where no more may stand there, if the moves are made in another order.
 */
import type { Reassignment } from "./reassignment.ts";

export const untangled = (
  { first, groupOf }: Pick<Reassignment, "first" | "groupOf">,
  hostOf: Int32Array,
): Int32Array => {
  const result = Int32Array.from(hostOf);
  const keyOf = (item: number, host: number): string => `${groupOf[item]}/${host}`;
  /** Those of a group that leave a host. */
  const leaving = new Map<string, number[]>();
  const moving: number[] = [];
  for (const [item, from] of first.entries()) {
    if (result[item] === from) continue;
    moving.push(item);
    const key = keyOf(item, from);
    const known = leaving.get(key);
    if (known === undefined) leaving.set(key, [item]);
    else known.push(item);
  }
  for (const item of moving) {
    while (result[item] !== first[item]) {
      const behind = leaving.get(keyOf(item, result[item] as number))?.pop();
      if (behind === undefined) break;
      // It stays already, in the place of another.
      if (result[behind] === first[behind]) continue;
      result[item] = result[behind] as number;
      result[behind] = first[behind] as number;
    }
  }
  return result;
};
