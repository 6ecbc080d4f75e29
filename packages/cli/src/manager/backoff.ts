/** How long to wait before a process that died is started again. Pure. */
export const FIRST_MS = 500;
export const LONGEST_MS = 10_000;
/** A process that ran this long has recovered: its next death is a new story. */
export const HEALTHY_MS = 60_000;

/** The wait after the `deaths`-th death in a row (from 1): 0.5 s, 1 s, 2 s … 10 s. */
export const backoffMs = (deaths: number): number => Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(deaths - 1, 10));

/** Deaths in a row, this one included. */
export const countDeath = (before: number, ranMs: number): number => (ranMs >= HEALTHY_MS ? 1 : before + 1);
