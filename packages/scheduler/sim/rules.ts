/** Rules of placement of simulated jobs, and what the checker knows of them, by itself: it counts who stands where anew each time. */
import type { HostId, JobSpec, LogRecord, Placement, PlacementRules } from "@berth/schema";
import { ENDED, type CheckedAllocation } from "./checked.ts";
import type { Random } from "./random.ts";
import type { SeenHosts } from "./seen-hosts.ts";

const ZONE = "host.labels.zone";

/** What simulated jobs may require, and when it is true of a host of this zone. */
const REQUIRED: Readonly<Record<string, (zone: string | null) => boolean>> = {
  [`has(${ZONE})`]: (zone) => zone !== null,
  [`${ZONE} == "a"`]: (zone) => zone === "a",
  [`!(${ZONE} == "a") && true`]: (zone) => zone !== "a",
  [`${ZONE} in ["a", 'b'] || ${ZONE} == "c"`]: (zone) => zone !== null && "abc".includes(zone),
};

export const randomZone = ({ pick }: Random): string | null => pick(["a", "a", "b", "c", null]) ?? null;

/** Few groups, so that jobs meet in them. */
export const withRules = (spec: JobSpec, { below, chance, pick }: Random): JobSpec => {
  if (chance(0.3) || spec.kind === "daemon") return spec;
  const group = (): string => pick(["red", "blue"]) ?? "red";
  const by = (): string => pick(["host", ZONE, ZONE]) ?? ZONE;
  const require = pick(Object.keys(REQUIRED)) ?? "";
  const placement: PlacementRules = {
    ...(chance(0.25) && { require: [require] }),
    ...(chance(0.2) && { prefer: [{ rule: `${ZONE} == "b"`, weight: chance(0.5) ? 70 : -40 }] }),
    ...(chance(0.4) && { spread: [{ by: by(), ...(chance(0.7) && { maxSkew: 1 + below(2) }) }] }),
    ...(chance(0.5) && { groups: [group()] }),
    ...(chance(0.25) && { apart: [{ group: group(), ...(chance(0.7) && { by: by() }) }] }),
    ...(chance(0.25) && { together: [{ group: group(), ...(chance(0.7) && { by: by() }) }] }),
    ...(chance(0.25) && { maxPerHost: 1 + below(2) }),
  };
  return { ...spec, placement };
};

const meets = (zone: string | null, { require = [] }: PlacementRules): boolean =>
  require.every((rule) => REQUIRED[rule]?.(zone) === true);

/** Whether an empty host of this zone is one for it, when nobody else stands anywhere. */
export const couldStand = ({ placement = {} }: JobSpec, zone: string | null): boolean =>
  meets(zone, placement) &&
  (zone !== null || (placement.spread ?? []).every(({ by, maxSkew }) => by === "host" || maxSkew === undefined));

export interface RulesCheck {
  /** `specOf`: of a job as it is before this record. */
  readonly saw: (record: LogRecord, specOf: (job: string) => JobSpec | undefined) => void;
  readonly placed: (placement: Placement, spec: JobSpec, all: Iterable<CheckedAllocation>) => string[];
}

/** What counts: whose it is, where, and whether it stands there or has its room kept. */
interface Standing {
  readonly spec: JobSpec;
  readonly hostId: HostId;
  readonly isKept: boolean;
}

export const createRulesCheck = ({ hosts }: SeenHosts): RulesCheck => {
  /** Room that is kept, by task; some of it may have been given up. */
  const kept = new Map<string, Standing>();

  const saw: RulesCheck["saw"] = (record, specOf) => {
    if (record.kind !== "room_reserved") return;
    const { hostId, index, job, project } = record;
    const spec = specOf(`${project}/${job}`);
    if (spec !== undefined) kept.set(`${project}/${job}[${index}]`, { spec, hostId, isKept: true });
  };

  const placeOf = (hostId: HostId, by: string): string | null =>
    by === "host" ? hostId : (hosts.get(hostId)?.zone ?? null);

  const placed: RulesCheck["placed"] = (placement, spec, all) => {
    const { placement: rules } = spec;
    const { hostId, job, project } = placement;
    const name = `${project}/${job}[${placement.index}]`;
    kept.delete(name);
    if (rules === undefined) return [];
    const wrong: string[] = [];
    const standing = [...kept.values()];
    for (const { placement: other, rank, spec: its } of all)
      if (rank !== ENDED && other.id !== placement.id)
        standing.push({ spec: its, hostId: other.hostId, isKept: false });
    const ofJob = standing.filter(
      ({ spec: its }) =>
        its.project === project &&
        its.name === job &&
        ((its.placement?.spread ?? []).length > 0 || its.placement?.maxPerHost !== undefined),
    );
    const ofGroup = (group: string): Standing[] =>
      standing.filter(({ spec: its }) => its.project === project && its.placement?.groups?.includes(group) === true);
    const at = (some: readonly Standing[], by: string): Standing[] =>
      some.filter((one) => placeOf(one.hostId, by) === placeOf(hostId, by) && placeOf(hostId, by) !== null);
    const there = (some: readonly Standing[]): number => some.filter(({ isKept }) => !isKept).length;

    if (!meets(hosts.get(hostId)?.zone ?? null, rules)) wrong.push("against what it requires");
    if (rules.maxPerHost !== undefined && there(at(ofJob, "host")) >= rules.maxPerHost)
      wrong.push(`beside ${there(at(ofJob, "host"))} of its job`);
    for (const { group, by = "host" } of rules.apart ?? [])
      if (there(at(ofGroup(group), by)) > 0) wrong.push(`by ${by} where there is one of ${group}`);
    for (const { isKept, hostId: there, spec: its } of standing) {
      if (isKept || its.project !== project) continue;
      for (const { group, by = "host" } of its.placement?.apart ?? [])
        if (
          rules.groups?.includes(group) === true &&
          placeOf(there, by) !== null &&
          placeOf(there, by) === placeOf(hostId, by)
        )
          wrong.push(`by ${by} where ${its.name} keeps apart from ${group}`);
    }
    for (const { group, by = "host" } of rules.together ?? [])
      if (there(ofGroup(group)) > 0 && at(ofGroup(group), by).length === 0)
        wrong.push(`by ${by} where there is none of ${group}`);
    for (const { by, maxSkew } of rules.spread ?? []) {
      if (maxSkew === undefined) continue;
      const places = new Set<string>();
      for (const [id, { duty, isKnown, silent, zone }] of hosts) {
        const place = placeOf(id, by);
        if (isKnown && duty === "open" && !silent && place !== null && meets(zone, rules)) places.add(place);
      }
      const here = there(at(ofJob, by)) + 1;
      const counts = [...places].map((place) => ofJob.filter((one) => placeOf(one.hostId, by) === place).length);
      const least = Math.min(...counts);
      if (placeOf(hostId, by) === null) wrong.push(`where there is no ${by}`);
      else if (here - least > maxSkew) wrong.push(`as one of ${here} by ${by}, where others have ${least}`);
    }
    return wrong.map((what) => `${name} placed on ${hostId} ${what}`);
  };

  return { saw, placed };
};
