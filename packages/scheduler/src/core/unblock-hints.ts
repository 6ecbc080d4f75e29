/** What would let a request run that fits nowhere, by what each host has left and what its rules say. */
import { deviceTotals, type UnblockHint } from "@berth/schema";
import { unfulfilled } from "./devices.ts";
import { firstShort, isCrowdedOut, type HostRoom } from "./feasibility.ts";
import type { RequestClass } from "./request-class.ts";
import type { RuleRejection } from "./rule-check.ts";
import type { Vector } from "./vector.ts";
import type { VolumeSight } from "./volumes.ts";

const MAX_FREE_HINTS = 3;

/** A host as it was looked at for a request. */
export interface Seen {
  readonly room: HostRoom;
  /** The rule that stands against it, whatever its room. */
  readonly rule: RuleRejection | undefined;
  /** How many rules do. */
  readonly rules: () => number;
}

/** It takes tasks of this class, and has devices that would do. */
const isAble = ({ free, models, open, ready }: HostRoom, { daemon, wishes }: RequestClass): boolean =>
  (daemon ? open : ready) &&
  (wishes.length === 0 || unfulfilled({ free, from: 0, models, modelsFrom: 0 }, wishes) === undefined);

/** The only dimension in which a request does not fit into `available`, or undefined when it is none or several. */
const onlyShort = (available: ArrayLike<number>, request: Vector): number | undefined => {
  const first = firstShort(available, 0, request);
  if (first < 0) return undefined;
  return firstShort(available, first + 1, request.subarray(first + 1)) < 0 ? first : undefined;
};

/** Rules that alone stand against hosts with room, those of most hosts first. */
const ruleHints = (seen: readonly Seen[], requestClass: RequestClass): UnblockHint[] => {
  const byRule = new Map<string, { readonly rule: RuleRejection; hosts: number }>();
  for (const { room, rule, rules } of seen) {
    // Data is no rule that somebody could give up.
    if (rule === undefined || rule.reason === "volume" || !isAble(room, requestClass)) continue;
    if (firstShort(room.free, 0, requestClass.request) >= 0 || rules() > 1) continue;
    const known = byRule.get(rule.rule);
    if (known === undefined) byRule.set(rule.rule, { rule, hosts: 1 });
    else known.hosts += 1;
  }
  return [...byRule.values()]
    .sort((a, b) => b.hosts - a.hosts)
    .slice(0, MAX_FREE_HINTS)
    .map(({ rule: { reason, rule }, hosts }) => ({ kind: "relax_rule", reason, rule, hosts }));
};

/**
 * Changes of which each alone would let the request run, smallest first: freeing some of one dimension on one host (as a
 * share of what the host has), asking for less of one dimension, giving up a rule, or another host that is large enough.
 */
export const unblockHints = (
  seen: readonly Seen[],
  requestClass: RequestClass,
  names: readonly string[],
  sight: VolumeSight,
): UnblockHint[] => {
  const { request, unknown, wishes } = requestClass;
  if (unknown !== null) return isCrowdedOut(names, unknown.name) ? [] : [{ kind: "add_host" }];
  const free: { readonly hint: UnblockHint; readonly share: number }[] = [];
  const reduced = new Map<string, number>();
  // Of what devices have in all, some more or less says nothing of a single one.
  const byDevice = new Set(Object.keys(deviceTotals(wishes.map(({ ask }) => ask))));
  for (const { room, rule } of seen) {
    const { hostId, allocatable, free: left } = room;
    const at = rule === undefined && isAble(room, requestClass) ? onlyShort(left, request) : undefined;
    const dimension = at === undefined ? undefined : names[at];
    if (at === undefined || dimension === undefined || byDevice.has(dimension)) continue;
    const [asked, has, all] = [request[at] as number, left[at] as number, allocatable[at] as number];
    if (has > 0) reduced.set(dimension, Math.max(has, reduced.get(dimension) ?? 0));
    if (asked > all) continue;
    free.push({ hint: { kind: "free_resources", hostId, dimension, short: asked - has }, share: (asked - has) / all });
  }
  return [
    ...free
      .sort((a, b) => a.share - b.share)
      .slice(0, MAX_FREE_HINTS)
      .map(({ hint }) => hint),
    ...[...reduced]
      .slice(0, MAX_FREE_HINTS)
      .map(([dimension, to]): UnblockHint => ({ kind: "reduce_request", dimension, to })),
    ...ruleHints(seen, requestClass),
    ...(sight.kind === "anywhere" ? [{ kind: "add_host" } as const] : []),
  ];
};
