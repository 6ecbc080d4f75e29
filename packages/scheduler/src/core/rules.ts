/**
 * The rules of placement of one request class, read once: what a host must have, what it should have, and which counters
 * speak of it. Counters are kept per group and host or per group and place, so that a rule costs as many steps as there are
 * places, whatever the number of tasks.
 */
import { mountsVolumes } from "./volumes.ts";
import {
  DEFAULT_SPREAD_WEIGHT,
  HOST_PATHS,
  HOST_PORTS,
  HOST_UNCONFINED,
  isUnconfined,
  parseExpression,
  type Expression,
  type JobSpec,
  type LetsMount,
  type PlacementRules,
  type Resources,
} from "@berth/schema";

/** What of a job spec decides which tasks are the same question. */
export type Asking = Pick<JobSpec, "project" | "name" | "placement"> & {
  readonly requests: Resources;
  readonly volumes?: JobSpec["volumes"];
  readonly devices?: JobSpec["devices"] | undefined;
  readonly ports?: JobSpec["ports"] | undefined;
  readonly container?: JobSpec["container"] | undefined;
} & Partial<Pick<JobSpec, "kind" | "runTimeoutMs" | "stopTimeoutMs">>;

interface Stated {
  /** As the job says it. */
  readonly rule: string;
  readonly group: string;
}

export interface Rules {
  readonly require: readonly { readonly rule: string; readonly expression: Expression }[];
  readonly prefer: readonly { readonly expression: Expression; readonly weight: number }[];
  /** At most so many tasks of the group on one host. */
  readonly hostLimits: readonly (Stated & {
    readonly limit: number;
    readonly reason: "max_per_host" | "apart" | "shunned" | "port";
  })[];
  /** The groups it is in, for those that want to be apart from them: see `shunningGroup`. */
  readonly shunned: readonly Stated[];
  /** Only on hosts with a task of the group, once there is one. */
  readonly hostTogether: readonly (Stated & { readonly reason: "together" })[];
  /** The labels that the rules below speak of; `place` is a position in it. */
  readonly places: readonly string[];
  readonly spread: readonly (Stated & {
    readonly place: number;
    readonly maxSkew: number | null;
    readonly weight: number;
  })[];
  /** By `shunned` instead of by the group itself where it is the others that keep apart. */
  readonly apart: readonly (Stated & { readonly place: number; readonly isShunned?: true })[];
  readonly together: readonly (Stated & { readonly place: number })[];
}

/** No job or project name begins with it, so a job's own group meets no other. */
const ownGroup = ({ project, name }: Asking): string => `=${project}/${name}`;
const named = ({ project }: Asking, group: string): string => `${project}/${group}`;

const needsOwnGroup = (rules: PlacementRules): boolean =>
  (rules.spread ?? []).length > 0 || rules.maxPerHost !== undefined;

/**
 * Who keeps apart from a group by this label, or by host. Whoever is in the group meets them there: to be apart is a wish of
 * two, whichever of them comes first. No project's name begins with it, so these groups meet no others.
 */
export const shunningGroup = (by: string, group: string): string => `!${by} ${group}`;

/** The label and the group of such a name; undefined of any other, and where the label is the host. */
export const shunnedBy = (name: string): { readonly by: string; readonly group: string } | undefined => {
  if (!name.startsWith("!") || name.startsWith("!host ")) return undefined;
  const at = name.indexOf(" ");
  return { by: name.slice(1, at), group: name.slice(at + 1) };
};

/** Who says the number of a port. No project's name begins with it, so these groups meet no others. */
export const portGroup = (port: number): string => `:${port}`;

/** The groups whose counters a task of this job counts in. */
export const groupsOf = (asking: Asking): string[] => {
  const rules = asking.placement;
  const ports = saidPorts(asking).map(portGroup);
  if (rules === undefined) return ports;
  const groups = new Set(ports);
  for (const group of rules.groups ?? []) groups.add(named(asking, group));
  if (needsOwnGroup(rules)) groups.add(ownGroup(asking));
  for (const { by = "host", group } of rules.apart ?? []) groups.add(shunningGroup(by, named(asking, group)));
  return [...groups];
};

/** Paths of hosts that its tasks mount: only where the operator lets its project do so. */
const mountsOf = ({ project, volumes = [] }: Asking): LetsMount[] =>
  volumes.flatMap((volume) =>
    "source" in volume
      ? [{ kind: "lets", path: HOST_PATHS, project, source: volume.source, readOnly: volume.readOnly } as const]
      : [],
  );

/** Those of which it says the number. */
const saidPorts = ({ ports = [] }: Asking): number[] => ports.flatMap(({ port }) => port ?? []);

/** What tells classes apart beside the request; empty without rules. A job with volumes is a question of its own. */
export const rulesKey = (asking: Asking): string => {
  const rules = asking.placement;
  const isFixed = asking.volumes !== undefined && mountsVolumes({ volumes: asking.volumes });
  const mounts = mountsOf(asking);
  const said = saidPorts(asking);
  const ports = said.length === 0 ? "" : `|ports ${said.join()}`;
  const filter = isUnconfined(asking) ? "|unconfined" : "";
  const paths = `${mounts.length === 0 ? "" : `|${asking.project}|${JSON.stringify(mounts)}`}${ports}${filter}`;
  if (rules === undefined) return isFixed ? `|${asking.project}|${asking.name}|volumes${paths}` : paths;
  const own = isFixed || needsOwnGroup(rules) ? asking.name : "";
  return `|${asking.project}|${own}|${JSON.stringify(rules)}${isFixed ? "|volumes" : ""}${paths}`;
};

/** What is said of a place or a host where somebody is who keeps apart from the group that a task is in. */
export const KEEPS_APART = "a task there keeps apart from the group";

/** With what those ask of its groups that keep apart from them by labels, as `labelsOf` knows them. */
export const withShunned = (rules: Rules, labelsOf: (group: string) => Iterable<string>): Rules => {
  const places = [...rules.places];
  const apart = rules.shunned.flatMap(({ group, rule }) =>
    Array.from(labelsOf(group), (by) => {
      if (!places.includes(by)) places.push(by);
      return { group: shunningGroup(by, group), rule, place: places.indexOf(by), isShunned: true as const };
    }),
  );
  return apart.length === 0 ? rules : { ...rules, places, apart: [...rules.apart, ...apart] };
};

const parsed = (source: string): Expression => {
  const result = parseExpression(source);
  // A spec in the log was parsed before it came there. What this version cannot read admits no host.
  return result.ok ? result.value : { kind: "value", value: false };
};

/** A host's operator permits it with a flag, which is what somebody reads who asks why none does. */
const UNCONFINED = {
  rule: "container.seccomp: unconfined, see --unconfined-seccomp",
  expression: { kind: "has", path: HOST_UNCONFINED },
} as const;

export const rulesOf = (asking: Asking): Rules | null => {
  const mounts = mountsOf(asking);
  const said = saidPorts(asking);
  if (asking.placement === undefined && mounts.length + said.length === 0 && !isUnconfined(asking)) return null;
  const rules: PlacementRules = asking.placement ?? {};
  const places: string[] = [];
  const placeOf = (by: string): number => {
    if (!places.includes(by)) places.push(by);
    return places.indexOf(by);
  };
  const isHost = (by: string | undefined): boolean => by === undefined || by === "host";
  const apart = (rules.apart ?? []).map(({ group, by }) => ({
    group: named(asking, group),
    by,
    rule: `apart from ${group}`,
  }));
  const together = (rules.together ?? []).map(({ group, by }) => ({
    group: named(asking, group),
    by,
    rule: `together with ${group}`,
  }));
  const spread = (rules.spread ?? []).map(({ by, maxSkew, weight }) => ({
    group: ownGroup(asking),
    rule: `spread by ${by}${maxSkew === undefined ? "" : `, maxSkew ${maxSkew}`}`,
    place: placeOf(by === "host" ? "host.id" : by),
    maxSkew: maxSkew ?? null,
    weight: weight ?? DEFAULT_SPREAD_WEIGHT,
  }));
  const own = rules.maxPerHost === undefined ? [] : [rules.maxPerHost];
  const shunned = (rules.groups ?? []).map((group) => ({ group: named(asking, group), rule: `groups: ${group}` }));
  return {
    require: [
      ...(rules.require ?? []).map((rule) => ({ rule, expression: parsed(rule) })),
      ...mounts.map((mount) => ({ rule: `volume ${mount.source}`, expression: mount })),
      ...said.map((port) => ({
        rule: `port ${port}`,
        expression: { kind: "keeps_port", path: HOST_PORTS, port } as const,
      })),
      ...(isUnconfined(asking) ? [UNCONFINED] : []),
    ],
    prefer: (rules.prefer ?? []).map(({ rule, weight }) => ({ expression: parsed(rule), weight })),
    hostLimits: [
      ...own.map((limit) => ({
        group: ownGroup(asking),
        rule: `maxPerHost ${limit}`,
        limit,
        reason: "max_per_host" as const,
      })),
      ...apart
        .filter(({ by }) => isHost(by))
        .map(({ group, rule }) => ({ group, rule, limit: 1, reason: "apart" as const })),
      ...shunned.map(({ group, rule }) => ({
        ...{ group: shunningGroup("host", group), rule, limit: 1, reason: "shunned" as const },
      })),
      ...said.map((port) => ({ group: portGroup(port), rule: `port ${port}`, limit: 1, reason: "port" as const })),
    ],
    shunned,
    hostTogether: together
      .filter(({ by }) => isHost(by))
      .map(({ group, rule }) => ({ group, rule, reason: "together" as const })),
    spread,
    apart: apart.flatMap(({ group, by, rule }) =>
      by === undefined || isHost(by) ? [] : [{ group, rule: `${rule} by ${by}`, place: placeOf(by) }],
    ),
    together: together.flatMap(({ group, by, rule }) =>
      by === undefined || isHost(by) ? [] : [{ group, rule: `${rule} by ${by}`, place: placeOf(by) }],
    ),
    places,
  };
};
