/** Keeps `work` among those under way until it has ended, for whoever must not end before. */
export const underWay = <T>(all: Set<Promise<unknown>>, work: Promise<T>): Promise<T> => {
  all.add(work);
  return work.finally(() => all.delete(work));
};
