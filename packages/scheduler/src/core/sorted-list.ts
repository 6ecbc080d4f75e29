/**
 * A list kept in ascending order of a number, without duplicates of it. Finding costs a binary search; inserting and
 * removing move the tail, which for the few thousand entries it holds is one short memory move.
 */
export interface SortedList<T> {
  readonly length: number;
  readonly at: (position: number) => T | undefined;
  readonly has: (item: T) => boolean;
  /** How many come before it. */
  readonly positionOf: (item: T) => number;
  /** The first that does not come before this one, which need not be in the list. */
  readonly from: (item: T) => T | undefined;
  readonly insert: (item: T) => void;
  readonly remove: (item: T) => void;
}

export const createSortedList = <T>(orderOf: (item: T) => number): SortedList<T> => {
  const items: T[] = [];
  /** Position of the first item whose order is not below `order`. */
  const position = (order: number): number => {
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (orderOf(items[middle] as T) < order) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const holds = (at: number, order: number): boolean => at < items.length && orderOf(items[at] as T) === order;
  return {
    get length() {
      return items.length;
    },
    at: (at) => items[at],
    positionOf: (item) => position(orderOf(item)),
    from: (item) => items[position(orderOf(item))],
    has: (item) => holds(position(orderOf(item)), orderOf(item)),
    insert: (item) => {
      const at = position(orderOf(item));
      if (!holds(at, orderOf(item))) items.splice(at, 0, item);
    },
    remove: (item) => {
      const at = position(orderOf(item));
      if (holds(at, orderOf(item))) items.splice(at, 1);
    },
  };
};
