/** Which hosts `berth up` makes of one machine, and what each of them gets. Pure. */
import { isLabel, type Resources } from "@berth/schema";

/** Inside the range that systemd's documentation sets aside for containers (524288 to 1879048191). */
const FIRST_ID = 0x2000_0000;
const LAST_ID = 1_879_048_191;
const IDS_PER_CONTAINER = 65_536;
const MAX_CONTAINERS = 4096;

export interface HostPlan {
  readonly id: string;
  /** Undefined: the whole machine. */
  readonly share: Resources | undefined;
  /** What the host is told that it has beside. */
  readonly further: Readonly<Record<string, number>>;
  readonly idBase: number;
  readonly idCount: number;
}

/** The machine's own name when it can be a host's name, else `local`. */
export const localHostId = (hostname: string): string => {
  const label = hostname.split(".")[0]?.toLowerCase() ?? "";
  return isLabel(label) && label !== "localhost" ? label : "local";
};

/**
 * One host that is the whole machine, or `count` hosts with equal shares of what may be requested on it. `declared` are
 * further dimensions that the operator says the machine has.
 */
export const planHosts = (
  count: number | undefined,
  hostname: string,
  allocatable: Resources,
  declared: Readonly<Record<string, number>> = {},
): HostPlan[] => {
  const hosts = count ?? 1;
  const containers = Math.min(MAX_CONTAINERS, Math.floor((LAST_ID - FIRST_ID + 1) / IDS_PER_CONTAINER / hosts));
  const idCount = containers * IDS_PER_CONTAINER;
  return Array.from({ length: hosts }, (_, at) => ({
    id: count === undefined ? localHostId(hostname) : `host-${at + 1}`,
    share: count === undefined ? undefined : shareOf(allocatable, hosts),
    further: count === undefined ? declared : furtherOf({ ...allocatable.more, ...declared }, hosts),
    idBase: FIRST_ID + at * idCount,
    idCount,
  }));
};

const shareOf = (all: Resources, hosts: number): Resources => ({
  cpuMillis: Math.floor(all.cpuMillis / hosts),
  memoryBytes: Math.floor(all.memoryBytes / hosts),
  pids: Math.floor(all.pids / hosts),
});

const furtherOf = (all: Readonly<Record<string, number>>, hosts: number): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(all).map(([name, amount]) => [name, Math.floor(amount / hosts)]));

/** What the operator lets jobs do on a machine. */
export interface Permissions {
  /** What of it jobs may mount, as the agent's flag says it. */
  readonly hostPaths: readonly string[];
  /** Whether jobs of projects that may do without the filter of system calls run there. */
  readonly unconfinedSeccomp: boolean;
}

/** As the agent reads them, as are these. */
export const permissionFlags = ({ hostPaths, unconfinedSeccomp }: Permissions): string[] => [
  ...hostPaths.flatMap((path) => ["--host-path", path]),
  ...(unconfinedSeccomp ? ["--unconfined-seccomp"] : []),
];

export const furtherFlags = (further: Readonly<Record<string, number>>): string[] =>
  Object.entries(further).flatMap(([name, amount]) => ["--resource", `${name}=${amount}`]);
