/**
 * Rules about places against the counters as they are now: in which places another task may stand, and how evenly it would.
 * A host has one value in each place (see places.ts); what is asked here, is asked of such a list of values.
 */
import type { GroupCounts } from "./group-counts.ts";
import type { Partition, Place } from "./places.ts";
import type { RuleCheck, RuleRejection } from "./rule-check.ts";
import { KEEPS_APART, type Rules } from "./rules.ts";
import { SCORE_UNITS } from "./score.ts";
import { BARRED } from "./score-strip.ts";

/** So far above the least a count is looked up instead of counted again. */
const NEAR = 64;
const UNKNOWN = -1;

/** The counters that decide about places, read once for a choice among all domains. */
export interface PlaceSight {
  readonly spread: readonly { counts: Int32Array; least: number; most: number }[];
  readonly apart: Int32Array[];
  readonly together: (Int32Array | null)[];
  /** The change of the counters that it was read after. */
  version: number;
  /** What `evensOf` said for these counters, and whether it did. */
  evens: Int32Array;
  hasEvens: boolean;
  /** For its use. */
  readonly near: Int32Array;
}

export const blindSight = ({ spread, apart, together }: Rules): PlaceSight => ({
  spread: spread.map(() => ({ counts: new Int32Array(), least: 0, most: 0 })),
  apart: apart.map(() => new Int32Array()),
  together: together.map(() => null),
  version: -1,
  evens: new Int32Array(),
  hasEvens: false,
  near: new Int32Array(NEAR),
});

const countsAt = ({ places, rules }: RuleCheck, counts: GroupCounts, group: string, place: number): Int32Array =>
  counts.at(group, rules.places[place] as string, places[place] as Place);

/** More than any count. */
const MOST = 2 ** 30;

/** True until the next change of a counter: a choice and its explanation read them once. */
export const sightOf = (check: RuleCheck, counts: GroupCounts): PlaceSight => {
  const { rules, eligible, sight } = check;
  if (sight.version === counts.version()) return sight;
  for (let of = 0; of < rules.spread.length; of += 1) {
    const { group, place } = rules.spread[of] as Rules["spread"][number];
    const one = sight.spread[of] as PlaceSight["spread"][number];
    const found = countsAt(check, counts, group, place);
    const may = eligible[place] as Uint8Array;
    let [least, most] = [MOST, 0];
    for (let value = 0; value < found.length; value += 1) {
      if (may[value] === 0) continue;
      const count = found[value] as number;
      if (count < least) least = count;
      if (count > most) most = count;
    }
    one.counts = found;
    one.least = least === MOST ? 0 : least;
    one.most = most;
  }
  for (let of = 0; of < rules.apart.length; of += 1) {
    const { group, place } = rules.apart[of] as Rules["apart"][number];
    sight.apart[of] = countsAt(check, counts, group, place);
  }
  for (let of = 0; of < rules.together.length; of += 1) {
    const { group, place } = rules.together[of] as Rules["together"][number];
    sight.together[of] = counts.total(group) === 0 ? null : countsAt(check, counts, group, place);
  }
  sight.version = counts.version();
  sight.hasEvens = false;
  return sight;
};

const isUneven = (maxSkew: number | null, { counts, least }: PlaceSight["spread"][number], value: number): boolean =>
  maxSkew !== null && (value < 0 || (counts[value] as number) + 1 - least > maxSkew);

const hasSome = (counts: Int32Array | undefined, value: number): boolean =>
  counts !== undefined && value >= 0 && (counts[value] as number) > 0;

const hasNone = (counts: Int32Array | null | undefined, value: number): boolean =>
  counts !== null && counts !== undefined && (value < 0 || counts[value] === 0);

/** Which rule stands against the values that begin at `from`: a position in spread, apart and together, one after the other. */
const firstAgainst = (rules: Rules, sight: PlaceSight, values: Int32Array, from: number): number => {
  const { spread, apart, together } = sight;
  for (let at = 0; at < spread.length; at += 1) {
    const { place, maxSkew } = rules.spread[at] as Rules["spread"][number];
    if (isUneven(maxSkew, spread[at] as PlaceSight["spread"][number], values[from + place] as number)) return at;
  }
  for (let at = 0; at < apart.length; at += 1) {
    const { place } = rules.apart[at] as Rules["apart"][number];
    if (hasSome(apart[at], values[from + place] as number)) return spread.length + at;
  }
  for (let at = 0; at < together.length; at += 1) {
    const { place } = rules.together[at] as Rules["together"][number];
    if (hasNone(together[at], values[from + place] as number)) return spread.length + apart.length + at;
  }
  return -1;
};

/** Whether another task may stand where the values that begin at `from` are. */
const mayStand = ({ rules }: RuleCheck, sight: PlaceSight, values: Int32Array, from: number): boolean =>
  firstAgainst(rules, sight, values, from) < 0;

/** What evenness adds to scores where the values begin at `from`, in units. */
const evenUnits = (check: RuleCheck, sight: PlaceSight, values: Int32Array, from: number): number =>
  Math.round((evenness(check, sight, values, from) * SCORE_UNITS) / check.total);

/** The same by domain, or BARRED. With one spread and nothing else, as mostly, it is a function of the count. */
export const evensOf = (check: RuleCheck, sight: PlaceSight, { domains, values }: Partition): Int32Array => {
  if (sight.hasEvens && sight.evens.length === domains) return sight.evens;
  if (sight.evens.length !== domains) sight.evens = new Int32Array(domains);
  sight.hasEvens = true;
  const { evens, near } = sight;
  const { rules } = check;
  const width = rules.places.length;
  const isSimple = rules.spread.length === 1 && rules.apart.length + rules.together.length === 0;
  if (isSimple) {
    const { counts, least } = sight.spread[0] as PlaceSight["spread"][number];
    const most = least - 1 + ((rules.spread[0] as Rules["spread"][number]).maxSkew ?? Number.POSITIVE_INFINITY);
    near.fill(UNKNOWN);
    for (let domain = 0; domain < domains; domain += 1) {
      const value = values[domain] as number;
      const count = value < 0 ? most + 1 : (counts[value] as number);
      const known = near[count - least];
      if (count > most) evens[domain] = BARRED;
      else if (known !== undefined && known !== UNKNOWN) evens[domain] = known;
      else near[count - least] = evens[domain] = evenUnits(check, sight, values, domain);
    }
    return evens;
  }
  for (let domain = 0; domain < domains; domain += 1) {
    const from = domain * width;
    evens[domain] = mayStand(check, sight, values, from) ? evenUnits(check, sight, values, from) : BARRED;
  }
  return evens;
};

/** The values of a host. */
const valuesOf = ({ places }: RuleCheck, slot: number): Int32Array =>
  Int32Array.from(places, ({ valueOf }) => valueOf[slot] as number);

/** What stands against the place of this host, or undefined. */
export const againstPlace = (
  check: RuleCheck,
  sight: PlaceSight,
  slot: number,
): { readonly reason: RuleRejection["reason"]; readonly rule: string; readonly actual: string } | undefined => {
  const { rules, places } = check;
  const values = valuesOf(check, slot);
  const first = firstAgainst(rules, sight, values, 0);
  if (first < 0) return undefined;
  const nameAt = (place: number): string => (places[place] as Place).names[values[place] as number] ?? "";
  const spread = rules.spread[first];
  if (spread !== undefined) {
    const { place, rule } = spread;
    const value = values[place] as number;
    if (value < 0) return { reason: "spread", rule, actual: `has no ${rules.places[place]}` };
    const { counts, least } = sight.spread[first] as PlaceSight["spread"][number];
    return { reason: "spread", rule, actual: `${nameAt(place)} has ${counts[value]}, the least has ${least}` };
  }
  const behind = first - rules.spread.length;
  const apart = rules.apart[behind];
  if (apart !== undefined) {
    const { place, rule, isShunned } = apart;
    if (isShunned) return { reason: "apart", rule, actual: `${nameAt(place)}: ${KEEPS_APART}` };
    const count = sight.apart[behind]?.[values[place] as number];
    return { reason: "apart", rule, actual: `${nameAt(place)} has ${count}` };
  }
  const { place, rule } = rules.together[behind - rules.apart.length] as Rules["together"][number];
  return { reason: "together", rule, actual: `${nameAt(place)} has none` };
};

/** Of each group that somebody has to be together with: how many are where this host is. */
export const companionsOf = (
  check: RuleCheck,
  counts: GroupCounts,
  slot: number,
): readonly { readonly group: string; readonly there: number }[] => {
  const { hostTogether, together } = check.rules;
  const sight = sightOf(check, counts);
  const values = valuesOf(check, slot);
  return [
    ...hostTogether.map(({ group }) => ({ group, there: counts.hostsOf(group).get(slot) })),
    ...together.map(({ group, place }, at) => ({ group, there: sight.together[at]?.[values[place] as number] ?? 0 })),
  ];
};

/** All rules that stand against the place of this host at once. */
export const allAgainstPlace = (check: RuleCheck, sight: PlaceSight, slot: number): string[] => {
  const { apart, spread, together } = check.rules;
  const values = valuesOf(check, slot);
  const valueAt = ({ place }: { readonly place: number }): number => values[place] as number;
  return [
    ...spread.filter((rule, at) =>
      isUneven(rule.maxSkew, sight.spread[at] as PlaceSight["spread"][number], valueAt(rule)),
    ),
    ...apart.filter((rule, at) => hasSome(sight.apart[at], valueAt(rule))),
    ...together.filter((rule, at) => hasNone(sight.together[at], valueAt(rule))),
  ].map(({ rule }) => rule);
};

/** What evenness adds to a score: for each soft spread its weight where the fewest are, less where there are more. */
export const evenness = ({ rules }: RuleCheck, sight: PlaceSight, values: Int32Array, from: number): number => {
  let sum = 0;
  for (let at = 0; at < rules.spread.length; at += 1) {
    const { place, weight } = rules.spread[at] as Rules["spread"][number];
    const { counts, least, most } = sight.spread[at] as PlaceSight["spread"][number];
    const value = values[from + place] as number;
    const count = value < 0 ? most + 1 : (counts[value] as number);
    sum += (weight / 100) * (1 - Math.min(1, (count - least) / (most + 1 - least)));
  }
  return sum;
};
