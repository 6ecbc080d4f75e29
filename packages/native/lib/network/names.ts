/** What links are called on the host, and in which units rates are given. Pure. */
import { createHash } from "node:crypto";

export const DEFAULT_MTU = 1500;
/** 2^40 bytes a second. */
export const MOST_BITS = 8 * 2 ** 40;
export const LEAST_BITS = 8000;

export const isLinkName = (name: string): boolean => /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name);

/** The outer end of a container's pair. Ids are unique in a state directory; the host's link names are everybody's. */
export const linkNameOf = (stateDir: string, id: string): string =>
  `be${createHash("sha256").update(`${stateDir}\0${id}`).digest("hex").slice(0, 13)}`;

/** A sentence on what is wrong with a rate in bits per second, or undefined. */
export const rateMistake = (field: string, rate: number | null | undefined): string | undefined =>
  rate === null || rate === undefined || (Number.isSafeInteger(rate) && rate >= LEAST_BITS && rate <= MOST_BITS)
    ? undefined
    : `${field}: ${rate} is not in ${LEAST_BITS}..${MOST_BITS}`;

export const bytesPerSecond = (bits: number | null | undefined): number => Math.floor((bits ?? 0) / 8);
