/**
 * A short fingerprint of which allocations a host holds and in which state, for heartbeats. Independent of order. Not
 * cryptographic: it notices differences, it does not resist forgery.
 */
import type { AllocationId, AllocationState } from "@berth/schema";

const FNV_PRIME = 0x0100_0193;

const fnv1a = (text: string, seed: number): number => {
  let hash = seed >>> 0;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME) >>> 0;
  }
  return hash;
};

/** 16 hexadecimal digits: the sums of two FNV-1a hashes of `id=state` over all allocations, modulo 2^32. */
export const stateDigest = (
  allocations: Iterable<{ readonly id: AllocationId; readonly state: AllocationState }>,
): string => {
  let low = 0;
  let high = 0;
  for (const { id, state } of allocations) {
    const text = `${id}=${state}`;
    low = (low + fnv1a(text, 0x811c_9dc5)) >>> 0;
    high = (high + fnv1a(text, 0x9747_b28c)) >>> 0;
  }
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
};
