/** Ports of simulated hosts and jobs; and what the checker counts of them, by itself. */
import type { JobSpec, Placement, PortAsk, PortRange } from "@berth/schema";
import { ENDED, type CheckedAllocation } from "./checked.ts";
import type { Random } from "./random.ts";

/** Small ones, of which some have numbers that jobs say. */
export const randomPorts = ({ below, chance }: Random): PortRange => {
  const first = chance(0.3) ? 8_078 + below(3) : 20_000 + below(4);
  return { first, last: first + below(6) };
};

export const randomPortAsks = ({ below, chance }: Random): PortAsk[] => {
  if (chance(0.5)) return [];
  const any = Array.from({ length: below(3) }, (_, at): PortAsk => ({ name: `any${at}`, port: null }));
  return chance(0.5) ? [...any, { name: "said", port: 8_080 + below(2) }] : any;
};

/** What is wrong with the ports of a placement, on a host with this range where others have these. */
export const wronglyNumbered = (
  placement: Placement,
  spec: JobSpec,
  range: PortRange | undefined,
  all: Iterable<CheckedAllocation>,
): string[] => {
  const others = [...all].filter(
    ({ placement: one, rank }) => rank !== ENDED && one.hostId === placement.hostId && one.id !== placement.id,
  );
  const { ports: asks = [] } = spec;
  const { ports: grants = [] } = placement;
  const name = `${placement.project}/${placement.job}[${placement.index}]`;
  const wrong: string[] = [];
  if (asks.length !== grants.length) wrong.push(`${name} asks for ${asks.length} ports and has ${grants.length}`);
  for (const [at, { name: as, port }] of grants.entries()) {
    const asked = asks[at];
    const isInside = range !== undefined && range.first <= port && port <= range.last;
    if (asked?.name !== as) wrong.push(`${name} has a port ${as}`);
    if (asked?.port === null && !isInside) wrong.push(`${name} has port ${port}, which its host does not give out`);
    if (asked?.port !== null && (asked?.port !== port || isInside))
      wrong.push(`${name} has port ${port} for ${asked?.port}`);
    const twice = [...others.flatMap((one) => one.placement.ports ?? []), ...grants.slice(0, at)].some(
      (one) => one.port === port,
    );
    if (twice) wrong.push(`${name} has port ${port} of ${placement.hostId}, which another has`);
  }
  return wrong;
};

/** So many tasks of a kind an empty host with this range could have. */
export const portsFor = ({ ports = [] }: JobSpec, range: PortRange | null): number => {
  if (ports.length === 0) return Number.POSITIVE_INFINITY;
  if (range === null) return 0;
  const times = Math.floor((range.last - range.first + 1) / ports.length);
  const said = ports.flatMap(({ port }) => port ?? []);
  if (said.some((port) => range.first <= port && port <= range.last)) return 0;
  return said.length > 0 ? Math.min(1, times) : times;
};
