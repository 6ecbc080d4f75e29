/**
 * Which range of user and group ids a container runs in. A slot is 65,536 ids; two containers that are alive never share
 * one, so that a process that escapes from one is still nobody to the other. Slots are handed out in turn rather than
 * lowest first: files that a finished container left behind belong to nobody for as long as possible.
 */
export const IDS_PER_SLOT = 65_536;

export interface IdRange {
  readonly base: number;
  readonly slots: number;
}

/** Inside the range that systemd's documentation sets aside for containers (524288 to 1879048191). */
export const DEFAULT_ID_BASE = 0x2000_0000;
export const DEFAULT_ID_COUNT = 4096 * IDS_PER_SLOT;
/** uid_t has 32 bits and the last value means "no change". */
const MAX_ID = 0xffff_fffe;

/** Checks a range from the command line; the error is a sentence. */
export const idRange = (
  base: number,
  count: number,
): { readonly ok: true; readonly value: IdRange } | { readonly ok: false; readonly error: string } => {
  const slots = Math.floor(count / IDS_PER_SLOT);
  if (!Number.isSafeInteger(base) || base < IDS_PER_SLOT) {
    return {
      ok: false,
      error: `the first id must be a whole number of at least ${IDS_PER_SLOT}: lower ids belong to the host's own users`,
    };
  }
  if (!Number.isSafeInteger(count) || slots < 1)
    return { ok: false, error: `the number of ids must be at least ${IDS_PER_SLOT}` };
  if (base + slots * IDS_PER_SLOT - 1 > MAX_ID) return { ok: false, error: `ids end at ${MAX_ID}` };
  return { ok: true, value: { base, slots } };
};

/** What builds of images have for themselves: the last slot, unless it is the only one. */
export const withoutBuilds = (range: IdRange): { readonly containers: IdRange; readonly buildBase: number } => {
  const slots = Math.max(1, range.slots - 1);
  return { containers: { base: range.base, slots }, buildBase: range.base + (range.slots - 1) * IDS_PER_SLOT };
};

export const idBaseOf = (range: IdRange, slot: number): number => range.base + slot * IDS_PER_SLOT;

/** The slot that a host id belongs to, or undefined when it is outside the range. */
export const slotOf = (range: IdRange, idBase: number): number | undefined => {
  const slot = Math.floor((idBase - range.base) / IDS_PER_SLOT);
  return slot >= 0 && slot < range.slots ? slot : undefined;
};

/** The next free slot after `last`, around the end; undefined when all are taken. */
export const nextSlot = (range: IdRange, taken: ReadonlySet<number>, last: number): number | undefined => {
  for (let step = 1; step <= range.slots; step += 1) {
    const slot = (last + step) % range.slots;
    if (!taken.has(slot)) return slot;
  }
  return undefined;
};
