/**
 * The scores of hosts, eight request classes at a time: what scorer.ts says of a host without devices, bit for bit, in
 * instructions that count two classes at once. WebAssembly, so that it is as portable and as contained as the rest.
 * AssemblyScript; addresses are bytes in the memory of the instance, and src/core/score-kernel.ts lays that out.
 *
 * A strip holds the scores of eight classes (lanes) for all positions of hosts, those of one host side by side; what stands
 * above them is in levels.ts.
 */

import { CANNOT, DIVIDED, forgetTop, LENGTH, LEVEL, levelOf, POSITION_OF, SCORES, SLOT_AT } from "./levels";

export { build, raise, raiseAll, top, topIn } from "./levels";

/** How many dimensions; bytes of a row of hosts; requests of the mix, rounded up to an even number. */
let size: i32 = 0;
let rowBytes: i32 = 0;
let count: i32 = 0;
/** By host: what is free and 1 / all of it, places for each request of the mix, dimensions that bind, what it costs to open it, and readiness. */
let free: usize = 0;
let perUnit: usize = 0;
let places: usize = 0;
let binding: usize = 0;
let opening: usize = 0;
let ready: usize = 0;
/** By dimension and request of the mix: 1 / amount, and what lifts those that nobody asks for; by request: its value. */
let inverse: usize = 0;
let idle: usize = 0;
let values: usize = 0;
/** No request is larger, by dimension; and room for what would be left of a host. */
let most: usize = 0;
let rest: usize = 0;
/** Of the last two scored: how full the host would be, how much room is kept, sixteen bytes each; and the scores of all eight. */
let made: usize = 0;
let fullnessWeight: f64 = 0;
let units: f64 = 0;
let unlimited: f64 = 0;
/** So much of a host is free when nothing stands there, but for rounding. */
let nearlyAll: f64 = 0;

/** Behind the head: the requests' own sizes, how much of their room comes back, by what their scores are divided, then their amounts by dimension. */
const OWN: usize = 64;
const RETURNS: usize = 128;
const DIVISORS: usize = 192;
const REQUESTS: usize = 256;
/** Bytes of a row of eight amounts. */
const AMOUNTS: usize = 64;

export function shape(
  sizeNow: i32,
  rowBytesNow: i32,
  freeAt: usize,
  perUnitAt: usize,
  bindingAt: usize,
  openingAt: usize,
  readyAt: usize,
  mostAt: usize,
  restAt: usize,
  madeAt: usize,
): void {
  size = sizeNow;
  rowBytes = rowBytesNow;
  free = freeAt;
  perUnit = perUnitAt;
  binding = bindingAt;
  opening = openingAt;
  ready = readyAt;
  most = mostAt;
  rest = restAt;
  made = madeAt;
}

export function value(
  countNow: i32,
  placesAt: usize,
  inverseAt: usize,
  idleAt: usize,
  valuesAt: usize,
  fullnessWeightNow: f64,
  unitsNow: f64,
  unlimitedNow: f64,
  nearlyAllNow: f64,
): void {
  count = countNow;
  places = placesAt;
  inverse = inverseAt;
  idle = idleAt;
  values = valuesAt;
  fullnessWeight = fullnessWeightNow;
  units = unitsNow;
  unlimited = unlimitedNow;
  nearlyAll = nearlyAllNow;
}

/** How often each request of the mix fits on a host: a place that is begun is none. */
export function surveyPlaces(slot: i32): void {
  const host = free + <usize>(slot * rowBytes);
  const to = places + <usize>(slot * count * 8);
  for (let at = 0; at < count; at += 2) {
    let left = f64x2.splat(unlimited);
    let base = <usize>(at * 8);
    for (let dimension = 0; dimension < size; dimension += 1) {
      const has = f64x2.splat(load<f64>(host + <usize>(dimension * 8)));
      left = f64x2.pmin(left, f64x2.add(f64x2.mul(has, v128.load(inverse + base)), v128.load(idle + base)));
      base += <usize>(count * 8);
    }
    v128.store(to + <usize>(at * 8), f64x2.pmax(f64x2.splat(0), f64x2.floor(left)));
  }
}

/** The dimensions in which a request could cost a place. */
export function surveyBinding(slot: i32): void {
  const host = free + <usize>(slot * rowBytes);
  const from = places + <usize>(slot * count * 8);
  let bits = 0;
  for (let dimension = 0; dimension < size; dimension += 1) {
    const least = f64x2.splat(load<f64>(host + <usize>(dimension * 8)) - load<f64>(most + <usize>(dimension * 8)));
    const base = <usize>(dimension * count * 8);
    for (let at = 0; at < count; at += 2) {
      const offset = base + <usize>(at * 8);
      const fits = f64x2.add(f64x2.mul(least, v128.load(inverse + offset)), v128.load(idle + offset));
      if (!v128.any_true(f64x2.lt(fits, v128.load(from + <usize>(at * 8))))) continue;
      bits |= 1 << dimension;
      break;
    }
  }
  store<i32>(binding + <usize>(slot * 4), bits);
}

/** What all places of an idle host are worth: what it costs to open it; 0 where something stands. */
export function surveyOpening(slot: i32): void {
  store<f64>(opening + <usize>(slot * 8), isIdle(slot) ? worth(slot) : 0);
}

function isIdle(slot: i32): bool {
  const host = free + <usize>(slot * rowBytes);
  const unit = perUnit + <usize>(slot * rowBytes);
  for (let dimension = 0; dimension < size; dimension += 1) {
    const offset = <usize>(dimension * 8);
    const per = load<f64>(unit + offset);
    if (per > 0 && load<f64>(host + offset) * per < nearlyAll) return false;
  }
  return true;
}

function worth(slot: i32): f64 {
  const from = places + <usize>(slot * count * 8);
  let sum: f64 = 0;
  for (let at: usize = 0; at < <usize>(count * 8); at += 8) sum += load<f64>(values + at) * load<f64>(from + at);
  return sum;
}

/** All of this about a host without devices. */
export function survey(slot: i32): void {
  surveyPlaces(slot);
  surveyBinding(slot);
  surveyOpening(slot);
}

/** Whether two hosts have the same and as much of it left: in an idle cluster most have. */
function isTwin(one: i32, other: i32): bool {
  return (
    memory.compare(free + <usize>(one * rowBytes), free + <usize>(other * rowBytes), <usize>rowBytes) === 0 &&
    memory.compare(perUnit + <usize>(one * rowBytes), perUnit + <usize>(other * rowBytes), <usize>rowBytes) === 0
  );
}

/** Hosts 0 … `hosts` - 1. */
export function surveyAll(hosts: i32): void {
  for (let slot = 0; slot < hosts; slot += 1) {
    if (slot === 0 || !isTwin(slot - 1, slot)) {
      survey(slot);
      continue;
    }
    const to = places + <usize>(slot * count * 8);
    memory.copy(to, to - <usize>(count * 8), <usize>(count * 8));
    store<i32>(binding + <usize>(slot * 4), load<i32>(binding + <usize>(slot * 4 - 4)));
    store<f64>(opening + <usize>(slot * 8), load<f64>(opening + <usize>(slot * 8 - 8)));
  }
}

/** How often request `at` of the mix fits into what is in `rest` of a dimension, by the address of that and of the mix there. */
function fitsIn(left: v128, mix: usize): v128 {
  return f64x2.add(f64x2.mul(left, v128.load64_splat(inverse + mix)), v128.load64_splat(idle + mix));
}

/** What the places are worth that a host has now and would not have with what is in `rest`. */
function loss(slot: i32): v128 {
  const bits = load<i32>(binding + <usize>(slot * 4));
  const zero = f64x2.splat(0);
  let sum = zero;
  if (bits === 0) return sum;
  // Mostly one or two bind: one is looked at twice then.
  const others = bits & (bits - 1);
  const one = ctz(bits);
  const two = others === 0 ? one : ctz(others);
  const further = others & (others - 1);
  const inOne = v128.load(rest + <usize>(one * 16));
  const inTwo = v128.load(rest + <usize>(two * 16));
  const row = <usize>(count * 8);
  const atOne = <usize>one * row;
  const atTwo = <usize>two * row;
  const from = places + <usize>slot * row;
  for (let at: usize = 0; at < row; at += 8) {
    if (load<f64>(from + at) === 0) continue;
    let least = f64x2.pmin(fitsIn(inOne, atOne + at), fitsIn(inTwo, atTwo + at));
    for (let more = further; more !== 0; more &= more - 1) {
      const dimension = <usize>ctz(more);
      least = f64x2.pmin(least, fitsIn(v128.load(rest + dimension * 16), dimension * row + at));
    }
    const lost = f64x2.pmax(zero, f64x2.sub(v128.load64_splat(from + at), f64x2.floor(least)));
    sum = f64x2.add(sum, f64x2.mul(v128.load64_splat(values + at), lost));
  }
  return sum;
}

/** For which of two requests, or of two before, so much is too little. */
function shortOf(free: f64, request: usize, offset: usize, before: v128): v128 {
  // Overbooked already, which whoever asks for nothing of it does not make worse.
  return v128.or(before, f64x2.gt(v128.load(request + offset), f64x2.splat(max(free, 0))));
}

/** The scores of two classes, `pair` of a strip, on a host: the lower two of four numbers. */
function scorePair(strip: usize, pair: i32, slot: i32): v128 {
  const host = free + <usize>(slot * rowBytes);
  let request = strip + REQUESTS + <usize>(pair * 16);
  let short = i64x2.splat(0);
  for (let dimension = 0; dimension < size; dimension += 1) {
    short = shortOf(load<f64>(host + <usize>(dimension * 8)), request, 0, short);
    request += AMOUNTS;
  }
  return scoreSome(strip, pair, slot, short);
}

/** The same, where it is known which of the two are too large. */
function scoreSome(strip: usize, pair: i32, slot: i32, short: v128): v128 {
  return i64x2.all_true(short) ? i32x4.splat(CANNOT) : scoreFitting(strip, pair, slot, v128.not(short));
}

/** As Math.round does it: a half goes up. */
function divided(score: v128, by: v128): v128 {
  const share = f64x2.div(f64x2.convert_low_i32x4_s(score), by);
  const up = f64x2.ceil(share);
  const isLess = f64x2.gt(f64x2.sub(up, f64x2.splat(0.5)), share);
  return i32x4.trunc_sat_f64x2_s_zero(f64x2.sub(up, v128.and(isLess, f64x2.splat(1))));
}

function scoreFitting(strip: usize, pair: i32, slot: i32, fits: v128): v128 {
  const host = free + <usize>(slot * rowBytes);
  const unit = perUnit + <usize>(slot * rowBytes);
  const zero = f64x2.splat(0);
  let request = strip + REQUESTS + <usize>(pair * 16);
  let empty = zero;
  for (let dimension = 0; dimension < size; dimension += 1) {
    const wanted = v128.load(request);
    const remains = f64x2.sub(f64x2.splat(load<f64>(host + <usize>(dimension * 8))), wanted);
    // What is overbooked counts as full.
    const left = f64x2.pmax(zero, remains);
    v128.store(rest + <usize>(dimension * 16), left);
    const share = f64x2.mul(left, f64x2.splat(load<f64>(unit + <usize>(dimension * 8))));
    empty = f64x2.add(empty, f64x2.mul(share, share));
    request += AMOUNTS;
  }
  const one = f64x2.splat(1);
  let score = f64x2.sub(one, f64x2.div(empty, f64x2.splat(<f64>size)));
  v128.store(made, score);
  if (count > 0) {
    // Whoever opens a host that could stay closed costs all of it.
    const opened = f64x2.splat(load<f64>(opening + <usize>(slot * 8)));
    const lost = f64x2.pmax(loss(slot), f64x2.mul(v128.load(strip + RETURNS + <usize>(pair * 16)), opened));
    const own = v128.load(strip + OWN + <usize>(pair * 16));
    // Whoever has no place to lose loses none.
    const kept = v128.bitselect(one, f64x2.div(own, f64x2.add(own, lost)), f64x2.eq(lost, zero));
    v128.store(made, kept, 16);
    score = f64x2.add(f64x2.mul(f64x2.splat(1 - fullnessWeight), kept), f64x2.mul(f64x2.splat(fullnessWeight), score));
  }
  let rounded = i32x4.trunc_sat_f64x2_s_zero(f64x2.add(f64x2.mul(score, f64x2.splat(units)), f64x2.splat(0.5)));
  // Weights that rules add leave less to the packing.
  if (load<i32>(strip + DIVIDED) !== 0) rounded = divided(rounded, v128.load(strip + DIVISORS + <usize>(pair * 16)));
  const narrow = v128.shuffle<i32>(fits, fits, 0, 2, 0, 2);
  return v128.bitselect(rounded, i32x4.splat(CANNOT), narrow);
}

/** Counts, of a host that a class fits on, what its score is made of. */
export function measure(strip: usize, lane: i32, slot: i32): void {
  scoreFitting(strip, lane >> 1, slot, i64x2.splat(-1));
}

/** What does not want a rule's refusal overwritten. */
function keepRefused(before: v128, now: v128): v128 {
  return v128.bitselect(before, now, i32x4.lt_s(before, i32x4.splat(CANNOT)));
}

/**
 * Scores these hosts for all lanes; `changed` gets a byte for each, with a bit for every lane whose score is another one, and
 * `before` what the scores were. These are read first, all in one go: they lie scattered over more memory than is near, which
 * is waited for once then, and not host by host.
 */
export function score(strip: usize, slots: usize, many: i32, changed: usize, before: usize): void {
  const positionOf = <usize>load<u32>(strip + POSITION_OF);
  const leaves = <usize>load<u32>(strip + LEVEL);
  for (let at = 0; at < many; at += 1) {
    const slot = load<i32>(slots + <usize>(at * 4));
    const leaf = leaves + <usize>load<u32>(positionOf + <usize>(slot * 4)) * SCORES;
    v128.store(before + <usize>at * SCORES, v128.load(leaf));
    v128.store(before + <usize>at * SCORES, v128.load(leaf, 16), 16);
  }
  for (let at = 0; at < many; at += 1) {
    const slot = load<i32>(slots + <usize>(at * 4));
    const leaf = leaves + <usize>load<u32>(positionOf + <usize>(slot * 4)) * SCORES;
    const was = before + <usize>at * SCORES;
    if (load<u8>(ready + <usize>slot) === 1) scoreHost(strip, slot);
    else closeHost();
    const bits = write(leaf, was);
    store<u8>(changed + <usize>at, <u8>bits);
    if (bits !== 0) forgetTop(strip, slot, leaf, was);
  }
}

/** Scores a host for all lanes, whatever rules say; what comes out stands in `made`. */
function scoreHost(strip: usize, slot: i32): void {
  const host = free + <usize>(slot * rowBytes);
  let request = strip + REQUESTS;
  let a = i64x2.splat(0);
  let b = a;
  let c = a;
  let d = a;
  for (let dimension = 0; dimension < size; dimension += 1) {
    const has = load<f64>(host + <usize>(dimension * 8));
    a = shortOf(has, request, 0, a);
    b = shortOf(has, request, 16, b);
    c = shortOf(has, request, 32, c);
    d = shortOf(has, request, 48, d);
    request += AMOUNTS;
  }
  // On a full host most do not fit, and it costs no more to find that out of eight than of one.
  const low = v128.shuffle<i64>(scoreSome(strip, 0, slot, a), scoreSome(strip, 1, slot, b), 0, 2);
  const high = v128.shuffle<i64>(scoreSome(strip, 2, slot, c), scoreSome(strip, 3, slot, d), 0, 2);
  v128.store(made, low, 32);
  v128.store(made, high, 48);
}

/** Nobody fits on a host that takes nothing. */
function closeHost(): void {
  v128.store(made, i32x4.splat(CANNOT), 32);
  v128.store(made, i32x4.splat(CANNOT), 48);
}

/** Writes what stands in `made`, but over no refusal; returns a bit for every lane whose score is another than it was. */
function write(leaf: usize, was: usize): i32 {
  const lowBefore = v128.load(was);
  const highBefore = v128.load(was, 16);
  const low = keepRefused(lowBefore, v128.load(made, 32));
  const high = keepRefused(highBefore, v128.load(made, 48));
  v128.store(leaf, low);
  v128.store(leaf, high, 16);
  return i32x4.bitmask(i32x4.ne(low, lowBefore)) | (i32x4.bitmask(i32x4.ne(high, highBefore)) << 4);
}

/** Scores all hosts for all lanes, but those that a rule refuses. */
export function fillAll(strip: usize): void {
  const slotAt = <usize>load<u32>(strip + SLOT_AT);
  const length = load<i32>(strip + LENGTH);
  const leaves = levelOf(strip, 0);
  let last = -1;
  for (let position = 0; position < length; position += 1) {
    const slot = load<i32>(slotAt + <usize>(position * 4));
    const leaf = leaves + <usize>position * SCORES;
    if (slot < 0) continue;
    const isReady = load<u8>(ready + <usize>slot) === 1;
    if (!isReady) closeHost();
    else if (last < 0 || !isTwin(last, slot)) scoreHost(strip, slot);
    last = isReady ? slot : -1;
    write(leaf, leaf);
  }
}

/** Scores all hosts for one lane, but those that a rule refuses. */
export function fill(strip: usize, lane: i32): void {
  const slotAt = <usize>load<u32>(strip + SLOT_AT);
  const length = load<i32>(strip + LENGTH);
  const pair = lane >> 1;
  const leaves = levelOf(strip, 0) + <usize>(lane * 4);
  let last = -1;
  let known = CANNOT;
  for (let position = 0; position < length; position += 1) {
    const slot = load<i32>(slotAt + <usize>(position * 4));
    const leaf = leaves + <usize>position * SCORES;
    if (slot < 0 || load<i32>(leaf) < CANNOT) continue;
    if (load<u8>(ready + <usize>slot) !== 1) {
      store<i32>(leaf, CANNOT);
      continue;
    }
    if (last < 0 || !isTwin(last, slot)) {
      const both = scorePair(strip, pair, slot);
      known = (lane & 1) === 0 ? i32x4.extract_lane(both, 0) : i32x4.extract_lane(both, 1);
      last = slot;
    }
    store<i32>(leaf, known);
  }
}
