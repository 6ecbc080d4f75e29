/**
 * Each user namespace is made under an id of its own (src/supervisor/userns.c), so that what the kernel counts by user it
 * counts for each container alone. An agent that is itself in a user namespace may have no such ids: then root makes them all.
 */
const FIRST_OWNER = 0xffff_0000;
const OWNERS = 0xfff0;

/** What follows from a /proc/self/uid_map. Undefined: every container is counted alone. */
export const sharedCounts = (uidMap: string): string | undefined => {
  const mapped = uidMap
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .reduce((sum, [first = 0, , count = 0]) => {
      const begin = Math.max(first, FIRST_OWNER);
      return sum + Math.max(0, Math.min(first + count, FIRST_OWNER + OWNERS) - begin);
    }, 0);
  if (mapped === OWNERS) return undefined;
  return "The ids from 4294901760 on are not mapped: containers share what is counted by user (inotify, signals, queues, processes).";
};
