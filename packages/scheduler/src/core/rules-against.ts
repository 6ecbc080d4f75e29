/** How many rules stand against a host at once: for whoever says which of them alone it would take to give up. */
import { holds, type Lookup } from "@berth/schema";
import type { GroupCounts } from "./group-counts.ts";
import { sightOf } from "./place-check.ts";
import { hostSightOf, type RuleCheck } from "./rule-check.ts";

export const rulesAgainst = (check: RuleCheck, counts: GroupCounts, slot: number, lookup: Lookup): number => {
  const { places, rules } = check;
  const byHost = hostSightOf(check, counts);
  const byPlace = sightOf(check, counts);
  const valueAt = (place: number): number => places[place]?.valueOf[slot] ?? -1;
  const standing = [
    ...rules.require.map(({ expression }) => !holds(expression, lookup)),
    ...rules.hostLimits.map(({ limit }, at) => (byHost.limits[at]?.get(slot) ?? 0) >= limit),
    ...rules.hostTogether.map((_, at) => byHost.together[at]?.get(slot) === 0),
    ...rules.spread.map(({ maxSkew, place }, at) => {
      const { counts: there, least } = byPlace.spread[at] ?? { counts: [], least: 0 };
      return maxSkew !== null && (valueAt(place) < 0 || (there[valueAt(place)] ?? 0) + 1 - least > maxSkew);
    }),
    ...rules.apart.map(({ place }, at) => valueAt(place) >= 0 && (byPlace.apart[at]?.[valueAt(place)] ?? 0) > 0),
    ...rules.together.map(({ place }, at) => {
      const there = byPlace.together[at] ?? null;
      return there !== null && (valueAt(place) < 0 || there[valueAt(place)] === 0);
    }),
  ];
  return standing.filter(Boolean).length;
};
