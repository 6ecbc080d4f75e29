/** Jobs of every kind, small enough for the hosts of a simulation. */
import { deviceTotals, PRIORITY_BANDS, type JobName, type JobSpec, type ProjectName } from "@berth/schema";
import { ZONE_RULE } from "./daemon-check.ts";
import { randomAsks } from "./devices.ts";
import { randomPortAsks } from "./ports.ts";
import type { Random } from "./random.ts";

const MiB = 2 ** 20;

const DISCONNECTS = [
  { afterMs: 5_000, action: "replace", singleton: false },
  { afterMs: 30_000, action: "replace", singleton: false },
  { afterMs: null, action: "keep", singleton: false },
  { afterMs: null, action: "replace", singleton: true },
] as const;

/** Few names, so that jobs meet at them. */
const volumesOf = ({ below, chance }: Random, count: number): JobSpec["volumes"] => {
  if (chance(0.8)) return [];
  const own = { volume: `own${below(2)}-\${INDEX}`, readOnly: false, shared: false, sizeBytes: 16 * MiB * below(4) };
  const readOnly = chance(0.4);
  const common = { volume: `all${below(3)}`, readOnly, shared: !readOnly && (count > 1 || chance(0.5)), sizeBytes: 0 };
  return [own, common].filter(() => chance(0.6)).map((one, at) => ({ ...one, target: `/v${at}` }));
};

/** Where it stands among others. Most say nothing, as most do. */
const policy = ({ below, chance, pick }: Random, count: number): Partial<JobSpec> => ({
  ...(chance(0.5) && { priority: { band: pick(PRIORITY_BANDS) ?? "batch", level: 50 + below(2) } }),
  ...(chance(0.2) && { disruption: chance(0.5) ? { maxUnavailable: below(3) } : { minAvailable: below(3) } }),
  ...(count > 1 && chance(0.3) && { gangMin: 2 + below(count - 1) }),
});

/** What a daemon says otherwise; some of them only on hosts of one zone. */
const daemonOf = ({ chance }: Random): Partial<JobSpec> => ({
  ...{ kind: "daemon", count: 0, maxRunning: null, volumes: [], runTimeoutMs: null },
  ...(chance(0.5) && { placement: { require: [ZONE_RULE] } }),
});

/** Some of these are daemons. */
export const randomJob = (random: Random, number: number, usesPolicy: boolean, usesDevices: boolean): JobSpec => {
  const { disconnect, gangMin, ...plain } = randomSpec(random, number, usesPolicy, usesDevices);
  const ports = randomPortAsks(random);
  const { requests } = plain;
  const spec: JobSpec =
    ports.length === 0
      ? plain
      : { ...plain, ports, requests: { ...requests, more: { ...requests.more, ports: ports.length } } };
  if (!random.chance(0.4))
    return { ...spec, ...(disconnect && { disconnect }), ...(gangMin !== undefined && { gangMin }) };
  return { ...spec, ...daemonOf(random), restart: { ...spec.restart, on: "always" } };
};

export const randomSpec = (random: Random, number: number, usesPolicy: boolean, usesDevices: boolean): JobSpec => {
  const { below, chance, pick } = random;
  const kind = chance(0.3) ? "service" : "batch";
  const devices = usesDevices ? randomAsks(random) : [];
  const requests = {
    cpuMillis: 250 * (1 + below(8)),
    memoryBytes: 256 * MiB * (1 + below(8)),
    pids: 10 * (1 + below(12)),
    ...(devices.length > 0 && { more: deviceTotals(devices) }),
  };
  const count = 1 + below(6);
  const more = usesPolicy ? policy(random, count) : {};
  const maxRunning = kind === "batch" && chance(0.4) ? Math.max(1 + below(count), more.gangMin ?? 1) : null;
  return {
    ...more,
    ...(devices.length > 0 && { devices }),
    name: `j${number}` as JobName,
    // Of one project each, since names are asked for without it.
    project: (usesPolicy && number % 3 === 0 ? "lab" : "sim") as ProjectName,
    kind,
    image: "builtin://busybox",
    command: ["true"],
    env: {},
    workdir: "/",
    requests,
    limits: { cpuMillis: null, memoryBytes: requests.memoryBytes, pids: requests.pids },
    count,
    maxRunning,
    volumes: volumesOf(random, count),
    outputs: [],
    restart: {
      on: kind === "service" ? "always" : (pick(["failure", "never", "failure"] as const) ?? "never"),
      max: pick([null, 0, 1, 3]) ?? null,
      backoffFirstMs: pick([0, 1_000]) ?? 0,
      backoffLongestMs: 8_000,
      retryCodes: chance(0.2) ? [75] : [],
      fatalCodes: chance(0.2) ? [64] : [],
    },
    runTimeoutMs: usesPolicy && kind === "batch" && chance(0.4) ? 1_000 * (1 + below(60)) : null,
    stopTimeoutMs: 10_000,
    ...(chance(0.4) && { disconnect: pick(DISCONNECTS) ?? DISCONNECTS[0] }),
  };
};

/** One of the jobs that there are, with other limits and nothing else. */
export const otherLimits = (random: Random, jobs: ReadonlyMap<string, { readonly spec: JobSpec }>): JobSpec => {
  const { spec } = random.pick([...jobs.values()]) ?? { spec: randomSpec(random, 1, false, false) };
  return { ...spec, limits: { ...spec.limits, cpuMillis: 10_000 + random.below(100) } };
};
