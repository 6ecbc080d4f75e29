/**
 * The levels of a strip: its scores, and above them, eight to one, the highest of each group. So a change touches a few lines
 * of memory, and the best is found by a few short looks.
 */

/** Where a request does not fit; what is below was refused by a rule, whatever the room. */
export const CANNOT: i32 = -1;
/** A strip's head: where the positions of its hosts are, where their slots are, how many positions, how many levels, their addresses. */
export const POSITION_OF: usize = 0;
export const SLOT_AT: usize = 4;
export const LENGTH: usize = 8;
const LEVELS: usize = 12;
export const LEVEL: usize = 16;
/** Behind the levels' addresses: whether scores are divided, the best of each domain, and the domain of each host, or 0 without domains. */
export const DIVIDED: usize = 52;
export const TOPS: usize = 56;
export const DOMAIN_OF: usize = 60;
/** Bytes of a row of eight scores. */
export const SCORES: usize = 32;
const SHIFT: i32 = 3;
const GROUP: i32 = 1 << SHIFT;

/** Writes the highest of a group into the level above; false when it stood there. */
function raiseOne(group: usize, to: usize): bool {
  let low = v128.load(group);
  let high = v128.load(group, 16);
  for (let at = 1; at < GROUP; at += 1) {
    low = i32x4.max_s(low, v128.load(group + <usize>at * SCORES));
    high = i32x4.max_s(high, v128.load(group + <usize>at * SCORES, 16));
  }
  const differs = v128.or(v128.xor(low, v128.load(to)), v128.xor(high, v128.load(to, 16)));
  if (!v128.any_true(differs)) return false;
  v128.store(to, low);
  v128.store(to, high, 16);
  return true;
}

export function levelOf(strip: usize, level: i32): usize {
  return <usize>load<u32>(strip + LEVEL + <usize>(level * 4));
}

/** What stands above a position whose scores were changed. */
export function raise(strip: usize, position: i32): void {
  const levels = load<i32>(strip + LEVELS);
  for (let level = 1; level < levels; level += 1) {
    position >>= SHIFT;
    const group = levelOf(strip, level - 1) + <usize>(position << SHIFT) * SCORES;
    if (!raiseOne(group, levelOf(strip, level) + <usize>position * SCORES)) return;
  }
}

/**
 * What stands above a position whose scores were these and are those now. Mostly they were not the highest of their group, and
 * are not: then the others of it need not be looked at.
 */
function raiseFrom(strip: usize, at: i32, wasLow: v128, wasHigh: v128): void {
  const levels = load<i32>(strip + LEVELS);
  let position = at;
  let now = levelOf(strip, 0) + <usize>position * SCORES;
  for (let level = 1; level < levels; level += 1) {
    position >>= SHIFT;
    const to = levelOf(strip, level) + <usize>position * SCORES;
    const low = v128.load(to);
    const high = v128.load(to, 16);
    const nowLow = v128.load(now);
    const nowHigh = v128.load(now, 16);
    const sinks = v128.or(
      v128.and(i32x4.eq(wasLow, low), i32x4.lt_s(nowLow, low)),
      v128.and(i32x4.eq(wasHigh, high), i32x4.lt_s(nowHigh, high)),
    );
    if (v128.any_true(sinks)) {
      if (!raiseOne(levelOf(strip, level - 1) + <usize>(position << SHIFT) * SCORES, to)) return;
    } else {
      const rises = v128.or(i32x4.gt_s(nowLow, low), i32x4.gt_s(nowHigh, high));
      if (!v128.any_true(rises)) return;
      v128.store(to, i32x4.max_s(low, nowLow));
      v128.store(to, i32x4.max_s(high, nowHigh), 16);
    }
    wasLow = low;
    wasHigh = high;
    now = to;
  }
}

/** The same for hosts, where `changed` has a bit; `before`: what their scores were. */
export function raiseAll(strip: usize, slots: usize, many: i32, changed: usize, before: usize): void {
  const positionOf = <usize>load<u32>(strip + POSITION_OF);
  for (let at = 0; at < many; at += 1) {
    if (load<u8>(changed + <usize>at) === 0) continue;
    const was = before + <usize>at * SCORES;
    const position = load<i32>(positionOf + <usize>(load<i32>(slots + <usize>(at * 4)) * 4));
    raiseFrom(strip, position, v128.load(was), v128.load(was, 16));
  }
}

/** All that stands above the scores. */
export function build(strip: usize): void {
  const levels = load<i32>(strip + LEVELS);
  let groups = (load<i32>(strip + LENGTH) + GROUP - 1) >> SHIFT;
  for (let level = 1; level < levels; level += 1) {
    const below = levelOf(strip, level - 1);
    const to = levelOf(strip, level);
    for (let at = 0; at < groups; at += 1) raiseOne(below + <usize>(at << SHIFT) * SCORES, to + <usize>at * SCORES);
    groups = (groups + GROUP - 1) >> SHIFT;
  }
}

/** The first of the highest among rows `from` … `to` - 1 of a level, or -1 when none can take the request. */
function highest(level: usize, lane: i32, from: i32, to: i32): i32 {
  let best = -1;
  let known = CANNOT;
  for (let at = from; at < to; at += 1) {
    const score = load<i32>(level + <usize>at * SCORES + <usize>(lane * 4));
    if (score > known) {
      known = score;
      best = at;
    }
  }
  return best;
}

/** In the place of a best position that has to be found again; and the bytes of a domain: eight positions, eight scores. */
const UNKNOWN_TOP: i32 = -2;
const TOP_SHIFT: i32 = 6;

/** What was best in a domain need not be it any more once something there had, or has, as high a score. */
export function forgetTop(strip: usize, slot: i32, leaf: usize, before: usize): void {
  const tops = <usize>load<u32>(strip + TOPS);
  if (tops === 0) return;
  const domain = load<i32>(<usize>load<u32>(strip + DOMAIN_OF) + <usize>(slot * 4));
  const to = tops + <usize>(domain << TOP_SHIFT);
  forgetFour(to, v128.load(leaf), v128.load(before));
  forgetFour(to + 16, v128.load(leaf, 16), v128.load(before, 16));
}

function forgetFour(to: usize, now: v128, before: v128): void {
  const best = v128.load(to, SCORES);
  const reaches = v128.or(i32x4.ge_s(before, best), i32x4.ge_s(now, best));
  const isOther = v128.and(reaches, i32x4.ne(now, before));
  v128.store(to, v128.bitselect(i32x4.splat(UNKNOWN_TOP), v128.load(to), isOther));
}

/** The best position of a lane, or -1. */
export function top(strip: usize, lane: i32): i32 {
  let level = load<i32>(strip + LEVELS) - 1;
  let at = highest(levelOf(strip, level), lane, 0, GROUP);
  while (at >= 0 && level > 0) {
    level -= 1;
    at = highest(levelOf(strip, level), lane, at << SHIFT, (at + 1) << SHIFT);
  }
  return at;
}

/** The best of the positions `from` … `to` - 1, both multiples of eight. */
export function topIn(strip: usize, lane: i32, from: i32, to: i32): i32 {
  const leaves = levelOf(strip, 0);
  // A strip so short that it has no groups is looked at itself.
  if (load<i32>(strip + LEVELS) === 1) return highest(leaves, lane, from, to);
  const group = highest(levelOf(strip, 1), lane, from >> SHIFT, to >> SHIFT);
  return group < 0 ? -1 : highest(leaves, lane, group << SHIFT, (group + 1) << SHIFT);
}
