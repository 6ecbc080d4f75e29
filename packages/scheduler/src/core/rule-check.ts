/**
 * Rules of placement against hosts as they are now: which hosts a class may use at all, what it prefers, and how many others
 * may stand on the same. Everything that changes with each placement is a counter. Rules about places are in place-check.ts.
 */
import { holds, pathsOf, whyNoPort, whyNotLet, type Expression, type HostRejection, type Lookup } from "@berth/schema";
import type { GroupCounts, HostCounts } from "./group-counts.ts";
import { blindSight, type PlaceSight } from "./place-check.ts";
import type { Place } from "./places.ts";
import { KEEPS_APART, withShunned, type Rules } from "./rules.ts";

export type RuleRejection = Extract<HostRejection, { rule: string }>;

export interface RuleCheck {
  readonly rules: Rules;
  /** By slot: 1 where `require` holds. */
  readonly allowed: Uint8Array;
  /** By slot: what `prefer` adds, 0 … `preferTotal`. */
  readonly preferred: Float64Array;
  /** No more than that on any of them. */
  mostPreferred: number;
  /** What expressions speak of. */
  readonly paths: ReadonlySet<string>;
  /** Labels by which some keep apart, and which no host has: nobody is asked about them. */
  readonly nowhere: readonly string[];
  /** The weights of all that may be added to a score of 0 … 1, as shares of it. */
  readonly total: number;
  readonly places: readonly Place[];
  /** See `eligibleIn`. */
  eligible: readonly Uint8Array[];
  /** See `sightOf`. */
  readonly sight: PlaceSight;
}

/** What is known of hosts: by slot. */
export interface HostFacts {
  readonly lookups: readonly Lookup[];
  readonly ready: Uint8Array;
  readonly placeOf: (path: string) => Place;
  /** By which labels some keep apart from a group. */
  readonly labelsOf: GroupCounts["shunnedBy"];
}

/** By slot: 1 where the expression holds. Hosts that agree in all that it speaks of are asked once. */
const verdicts = (expression: Expression, { lookups, placeOf }: Omit<HostFacts, "labelsOf">): Uint8Array => {
  const places = [...pathsOf(expression)].map(placeOf);
  const known = new Map<number, 0 | 1>();
  const verdict = new Uint8Array(lookups.length);
  for (let slot = 0; slot < verdict.length; slot += 1) {
    let key = 0;
    for (const { valueOf, names } of places) key = key * (names.length + 1) + (valueOf[slot] as number) + 1;
    let met = known.get(key);
    if (met === undefined || key > Number.MAX_SAFE_INTEGER) {
      met = holds(expression, lookups[slot] as Lookup) ? 1 : 0;
      known.set(key, met);
    }
    verdict[slot] = met;
  }
  return verdict;
};

/** By place and value: 1 where some ready host is allowed. */
export const eligibleIn = (places: readonly Place[], allowed: Uint8Array, ready: Uint8Array): readonly Uint8Array[] =>
  places.map(({ names, valueOf }) => {
    const values = new Uint8Array(names.length);
    for (let slot = 0; slot < valueOf.length; slot += 1) {
      const value = valueOf[slot] as number;
      if (value >= 0 && allowed[slot] === 1 && ready[slot] === 1) values[value] = 1;
    }
    return values;
  });

export const checkOf = (stated: Rules, facts: HostFacts): RuleCheck => {
  // By a label that no host has, nobody is kept apart.
  const isSomewhere = (by: string): boolean => facts.placeOf(by).names.length > 0;
  const nowhere: string[] = [];
  const rules = withShunned(stated, (group) => {
    const labels = [...facts.labelsOf(group)];
    nowhere.push(...labels.filter((by) => !isSomewhere(by)));
    return labels.filter(isSomewhere);
  });
  const paths = new Set([...rules.require, ...rules.prefer].flatMap(({ expression }) => [...pathsOf(expression)]));
  const hosts = facts.lookups.length;
  const allowed = new Uint8Array(hosts).fill(1);
  for (const { expression } of rules.require) {
    const met = verdicts(expression, facts);
    for (let slot = 0; slot < hosts; slot += 1) if (met[slot] === 0) allowed[slot] = 0;
  }
  const preferred = new Float64Array(hosts);
  for (const { expression, weight } of rules.prefer) {
    const met = verdicts(expression, facts);
    const wanted = weight > 0 ? 1 : 0;
    for (let slot = 0; slot < hosts; slot += 1) {
      if (met[slot] === wanted) preferred[slot] = (preferred[slot] as number) + Math.abs(weight) / 100;
    }
  }
  const places = rules.places.map(facts.placeOf);
  const weights = [...rules.prefer, ...rules.spread].reduce((sum, { weight }) => sum + Math.abs(weight) / 100, 0);
  const eligible = eligibleIn(places, allowed, facts.ready);
  const mostPreferred = preferred.reduce((most, one) => Math.max(most, one), 0);
  const sight = blindSight(rules);
  const total = 1 + weights;
  return { rules, allowed, preferred, mostPreferred, paths, nowhere, total, places, eligible, sight };
};

/** What one host with other labels is to a check: another place, so that all is to be read anew; or only another verdict. */
export const changedBy = ({ nowhere, paths, rules }: RuleCheck, differs: (path: string) => boolean) =>
  rules.places.some(differs) || nowhere.some(differs) ? "places" : [...paths].some(differs) ? "verdict" : "nothing";

/** Asks this host again. */
export const judge = (check: RuleCheck, slot: number, lookup: Lookup): void => {
  const { allowed, preferred, rules } = check;
  allowed[slot] = rules.require.every(({ expression }) => holds(expression, lookup)) ? 1 : 0;
  preferred[slot] = rules.prefer.reduce(
    (sum, { expression, weight }) => (holds(expression, lookup) === weight > 0 ? sum + Math.abs(weight) / 100 : sum),
    0,
  );
  check.mostPreferred = Math.max(check.mostPreferred, preferred[slot] as number);
};

/** The counters that decide about hosts, read once for many of them. */
export interface HostSight {
  readonly limits: readonly HostCounts[];
  /** Null: there is none of the group anywhere. */
  readonly together: readonly (HostCounts | null)[];
}

export const hostSightOf = ({ rules }: RuleCheck, counts: GroupCounts): HostSight => ({
  limits: rules.hostLimits.map(({ group }) => counts.hostsOf(group)),
  together: rules.hostTogether.map(({ group }) => (counts.total(group) === 0 ? null : counts.hostsOf(group))),
});

/** Whether it matters what stands on a host. */
export const asksOfOthers = ({ rules }: RuleCheck): boolean => rules.hostLimits.length + rules.hostTogether.length > 0;

const isFull = ({ limit }: Rules["hostLimits"][number], hosts: HostCounts | undefined, slot: number): boolean =>
  (hosts?.get(slot) ?? 0) >= limit;

const hasNone = (hosts: HostCounts | null | undefined, slot: number): boolean =>
  hosts !== null && hosts !== undefined && hosts.get(slot) === 0;

type Against = Rules["hostLimits"][number] | Rules["hostTogether"][number];

/** The rule about others that stands against this host. */
export const againstOthers = ({ rules }: RuleCheck, sight: HostSight, slot: number): Against | undefined => {
  for (let at = 0; at < sight.limits.length; at += 1) {
    const limit = rules.hostLimits[at] as Rules["hostLimits"][number];
    if (isFull(limit, sight.limits[at], slot)) return limit;
  }
  for (let at = 0; at < sight.together.length; at += 1) {
    if (hasNone(sight.together[at], slot)) return rules.hostTogether[at] as Rules["hostTogether"][number];
  }
  return undefined;
};

/** Whether anything stands against this host by itself, `sight` null: nothing about others is asked. */
export const isRefused = (check: RuleCheck, sight: HostSight | null, slot: number): boolean =>
  check.allowed[slot] === 0 || (sight !== null && againstOthers(check, sight, slot) !== undefined);

/** Whether a rule about this group may say something else of a host now that one more (1) or one less (-1) stands there. */
export const mayTurn = ({ rules }: RuleCheck, group: string, there: number, by: 1 | -1): boolean => {
  const most = by === 1 ? there : there + 1;
  for (const rule of rules.hostLimits) if (rule.group === group && rule.limit === most) return true;
  for (const rule of rules.hostTogether) if (rule.group === group && most === 1) return true;
  return false;
};

/** The same of all hosts: before or now there is none of the group anywhere. */
export const turnsAll = ({ rules }: RuleCheck, counts: GroupCounts, group: string, by: 1 | -1): boolean =>
  rules.hostTogether.some((rule) => rule.group === group) && counts.total(group) === (by === 1 ? 1 : 0);

interface Found {
  readonly reason: RuleRejection["reason"] | "shunned";
  readonly rule: string;
}

/** What stands against this host by itself: not its room, not its place. */
export const againstHost = (check: RuleCheck, counts: GroupCounts, slot: number): Found | undefined =>
  check.allowed[slot] === 0
    ? { reason: "constraint", rule: "" }
    : againstOthers(check, hostSightOf(check, counts), slot);

/** The rules that stand against this host by itself: for whoever says which of them alone it would take to give up. */
export const allAgainstHost = (check: RuleCheck, counts: GroupCounts, slot: number, lookup: Lookup): string[] => {
  const { hostLimits, hostTogether, require } = check.rules;
  const { limits, together } = hostSightOf(check, counts);
  return [
    ...require.filter(({ expression }) => !holds(expression, lookup)),
    ...hostLimits.filter((limit, at) => isFull(limit, limits[at], slot)),
    ...hostTogether.filter((_, at) => hasNone(together[at], slot)),
  ].map(({ rule }) => rule);
};

/** The rule that `againstHost` found, and what the host has instead, in words. */
export const failing = (
  { rules }: Pick<RuleCheck, "rules">,
  found: Found,
  lookup: Lookup,
): Pick<RuleRejection, "reason" | "rule" | "actual"> => ({
  reason: found.reason === "shunned" ? "apart" : found.reason,
  ...inWords({ rules }, found, lookup),
});

const inWords = (
  { rules }: Pick<RuleCheck, "rules">,
  found: Found,
  lookup: Lookup,
): Pick<RuleRejection, "rule" | "actual"> => {
  if (found.reason === "shunned") return { rule: found.rule, actual: KEEPS_APART };
  if (found.reason === "max_per_host") return { rule: found.rule, actual: "has as many already" };
  if (found.reason === "apart") return { rule: found.rule, actual: "has one" };
  if (found.reason === "together") return { rule: found.rule, actual: "has none" };
  if (found.reason === "port") return { rule: found.rule, actual: "is taken" };
  const failed = rules.require.find(({ expression }) => !holds(expression, lookup));
  if (failed === undefined) return { rule: "", actual: "" };
  const { expression } = failed;
  const actual =
    expression.kind === "lets"
      ? (whyNotLet(expression, lookup) ?? "")
      : expression.kind === "keeps_port"
        ? (whyNoPort(expression, lookup) ?? "")
        : [...pathsOf(expression)].map((path) => `${path} is ${lookup(path) ?? "not set"}`).join(", ");
  return { rule: failed.rule, actual: actual.slice(0, 600) };
};
