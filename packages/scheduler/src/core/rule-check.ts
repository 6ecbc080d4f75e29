/**
 * Rules of placement against hosts as they are now: which hosts a class may use at all, what it prefers, and in which places
 * another of its tasks may stand. Everything that changes with each placement is a counter.
 */
import { holds, pathsOf, type HostRejection, type Lookup } from "@berth/schema";
import type { GroupCounts } from "./group-counts.ts";
import type { Partition, Place } from "./places.ts";
import type { Rules } from "./rules.ts";

export type RuleRejection = Extract<HostRejection, { rule: string }>;

export interface RuleCheck {
  readonly rules: Rules;
  /** By slot: 1 where `require` holds. */
  readonly allowed: Uint8Array;
  /** By slot: what `prefer` adds, 0 … `preferTotal`. */
  readonly preferred: Float64Array;
  /** The weights of all that may be added to a score of 0 … 1, as shares of it. */
  readonly total: number;
  readonly places: readonly Place[];
  /** By place and value: 1 where some ready host is allowed. */
  readonly eligible: readonly Uint8Array[];
}

/** What is known of hosts: by slot. */
export interface HostFacts {
  readonly lookups: readonly Lookup[];
  readonly ready: Uint8Array;
  readonly counts: GroupCounts;
  readonly placeOf: (path: string) => Place;
}

export const checkOf = (rules: Rules, facts: HostFacts): RuleCheck => {
  const { lookups, ready } = facts;
  const allowed = Uint8Array.from(lookups, (lookup) =>
    rules.require.every(({ expression }) => holds(expression, lookup)) ? 1 : 0,
  );
  const preferred = Float64Array.from(lookups, (lookup) =>
    rules.prefer.reduce((sum, { expression, weight }) => {
      const met = holds(expression, lookup) === weight > 0;
      return met ? sum + Math.abs(weight) / 100 : sum;
    }, 0),
  );
  const places = rules.places.map(facts.placeOf);
  const eligible = places.map(({ names, valueOf }) => {
    const values = new Uint8Array(names.length);
    valueOf.forEach((value, slot) => {
      if (value >= 0 && allowed[slot] === 1 && ready[slot] === 1) values[value] = 1;
    });
    return values;
  });
  const weights = [...rules.prefer, ...rules.spread].reduce((sum, { weight }) => sum + Math.abs(weight) / 100, 0);
  return { rules, allowed, preferred, total: 1 + weights, places, eligible };
};

/** What stands against this host by itself: not its room, not its place. */
export const againstHost = (
  { rules, allowed }: RuleCheck,
  counts: GroupCounts,
  slot: number,
): { readonly reason: RuleRejection["reason"]; readonly rule: string } | undefined => {
  if (allowed[slot] === 0) return { reason: "constraint", rule: "" };
  for (const { group, limit, reason, rule } of rules.hostLimits) {
    if (counts.onHost(group, slot) >= limit) return { reason, rule };
  }
  for (const { group, rule } of rules.hostTogether) {
    if (counts.total(group) > 0 && counts.onHost(group, slot) === 0) return { reason: "together", rule };
  }
  return undefined;
};

/** The rule that `againstHost` found, and what the host has instead, in words. */
export const failing = (
  { rules }: RuleCheck,
  found: { readonly reason: RuleRejection["reason"]; readonly rule: string },
  lookup: Lookup,
): { readonly rule: string; readonly actual: string } => {
  if (found.reason === "max_per_host") return { rule: found.rule, actual: "has as many already" };
  if (found.reason === "apart") return { rule: found.rule, actual: "has one" };
  if (found.reason === "together") return { rule: found.rule, actual: "has none" };
  const failed = rules.require.find(({ expression }) => !holds(expression, lookup));
  if (failed === undefined) return { rule: "", actual: "" };
  const actual = [...pathsOf(failed.expression)].map((path) => `${path} is ${lookup(path) ?? "not set"}`).join(", ");
  return { rule: failed.rule, actual: actual.slice(0, 600) };
};

/** The counters that decide about places, read once for a choice among all domains. */
export interface PlaceSight {
  readonly spread: readonly { readonly counts: Int32Array; readonly least: number; readonly most: number }[];
  readonly apart: readonly Int32Array[];
  readonly together: readonly (Int32Array | null)[];
}

export const sightOf = ({ rules, places, eligible }: RuleCheck, counts: GroupCounts): PlaceSight => {
  const at = (group: string, place: number): Int32Array =>
    counts.at(group, rules.places[place] as string, places[place] as Place);
  return {
    spread: rules.spread.map(({ group, place }) => {
      const found = at(group, place);
      const may = eligible[place] as Uint8Array;
      let [least, most] = [Number.MAX_SAFE_INTEGER, 0];
      for (let value = 0; value < found.length; value += 1) {
        if (may[value] === 0) continue;
        least = Math.min(least, found[value] as number);
        most = Math.max(most, found[value] as number);
      }
      return { counts: found, least: least === Number.MAX_SAFE_INTEGER ? 0 : least, most };
    }),
    apart: rules.apart.map(({ group, place }) => at(group, place)),
    together: rules.together.map(({ group, place }) => (counts.total(group) === 0 ? null : at(group, place))),
  };
};

/** What stands against the place of this host, or undefined. */
export const againstPlace = (
  { rules, places }: RuleCheck,
  sight: PlaceSight,
  slot: number,
): { readonly reason: RuleRejection["reason"]; readonly rule: string; readonly actual: string } | undefined => {
  const valueAt = (place: number): number => (places[place] as Place).valueOf[slot] as number;
  const nameOf = (place: number): string => (places[place] as Place).names[valueAt(place)] ?? "";
  for (const [at, { place, maxSkew, rule }] of rules.spread.entries()) {
    if (maxSkew === null) continue;
    const value = valueAt(place);
    if (value < 0) return { reason: "spread", rule, actual: `has no ${rules.places[place]}` };
    const { counts, least } = sight.spread[at] as PlaceSight["spread"][number];
    const count = counts[value] as number;
    if (count + 1 - least > maxSkew) {
      return { reason: "spread", rule, actual: `${nameOf(place)} has ${count}, the least has ${least}` };
    }
  }
  for (const [at, { place, rule }] of rules.apart.entries()) {
    const value = valueAt(place);
    if (value >= 0 && (sight.apart[at]?.[value] ?? 0) > 0) {
      return { reason: "apart", rule, actual: `${nameOf(place)} has ${sight.apart[at]?.[value]}` };
    }
  }
  for (const [at, { place, rule }] of rules.together.entries()) {
    const counts = sight.together[at];
    if (counts === null || counts === undefined) continue;
    const value = valueAt(place);
    if (value < 0 || (counts[value] ?? 0) === 0)
      return { reason: "together", rule, actual: `${nameOf(place)} has none` };
  }
  return undefined;
};

/** What evenness adds to the score of a host: for each soft spread its weight where the fewest are, less where there are more. */
export const evenness = ({ rules, places }: RuleCheck, sight: PlaceSight, slot: number): number => {
  let sum = 0;
  for (let at = 0; at < rules.spread.length; at += 1) {
    const { place, weight } = rules.spread[at] as Rules["spread"][number];
    const { counts, least, most } = sight.spread[at] as PlaceSight["spread"][number];
    const value = (places[place] as Place).valueOf[slot] as number;
    const count = value < 0 ? most + 1 : (counts[value] as number);
    sum += (weight / 100) * (1 - Math.min(1, (count - least) / (most + 1 - least)));
  }
  return sum;
};

/** A host of each domain stands for all of it: they share every place. */
export const firstOf = ({ slotAt, begins }: Partition, domain: number): number =>
  slotAt[begins[domain] as number] as number;
