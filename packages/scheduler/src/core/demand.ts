/**
 * What is asked for lately: how often each request was placed, forgetting half of it every HALF_LIFE placements. Learned
 * from the log as it is folded and from nothing else, without any prior, so that every instance knows the same.
 *
 * The packer works with a snapshot, the mix: the few requests that matter most, by frequency and size. It is renewed only
 * when the demand has turned noticeably, because with every new mix all remembered scores are void.
 */
import { WHOLE_DEVICE, type DeviceAsk } from "@berth/schema";
import { createLifetimes, type Lifetimes, type LifetimesFacts } from "./lifetimes.ts";
import { createReturns, type ReturnsFacts } from "./returns.ts";
import { aboutAs, BASE, padded, type Vector } from "./vector.ts";

export interface Mix {
  /** Counts renewals. */
  readonly version: number;
  /** Their weights, how often each is asked for, add up to 1; what that counts is multiplied by its scarcity, if that is known. */
  readonly requests: readonly (Asked & { readonly weight: number; readonly scarcity?: number | undefined })[];
  /** How much of what is placed comes back: see returns.ts. */
  readonly returns: number;
}

/** What was asked for: amounts, and of which devices. */
export interface Asked {
  readonly request: Vector;
  readonly devices?: readonly DeviceAsk[] | undefined;
}

/** Parts of a device; whole ones are no parts, however large. */
const aboutAsMuch = (each: DeviceAsk["each"]): DeviceAsk["each"] =>
  Object.fromEntries(
    Object.entries(each).map(([name, amount]) => [name, amount % WHOLE_DEVICE === 0 ? amount : aboutAs(amount)]),
  );

/**
 * The same for equal requests, and for those for devices of about as much: they are few, and sizes that people guess, or
 * programs measure, are seldom twice the same, so that each by itself would be asked for too rarely to learn anything from. The
 * first of them speaks for all.
 */
export const demandKeyOf = (request: Vector, devices?: readonly DeviceAsk[]): string => {
  const amounts = request.subarray(0, BASE);
  if (devices === undefined) return amounts.join(",");
  const asks = devices.map((ask) => ({ ...ask, each: aboutAsMuch(ask.each) }));
  return `${amounts.map(aboutAs).join(",")}${JSON.stringify(asks)}`;
};

/** Everything that was learned, as JSON. */
export interface DemandFacts {
  readonly known: readonly (readonly [request: readonly number[], count: number, devices?: readonly DeviceAsk[]])[];
  readonly shares: readonly (readonly [request: string, share: number])[];
  readonly noted: number;
  readonly version: number;
  readonly mix: readonly {
    readonly request: readonly number[];
    readonly weight: number;
    readonly devices?: readonly DeviceAsk[];
    /** Absent where it is 1, and from what older versions learned. */
    readonly scarcity?: number;
  }[];
  /** Both absent from what older versions learned. */
  readonly returns?: ReturnsFacts;
  readonly returnsLevel?: number;
  /** Absent as well. */
  readonly lifetimes?: LifetimesFacts;
}

export interface Demand {
  readonly mix: Mix;
  /**
   * Notes one placement. `key` is the request's own, the same for about equal ones; `hosts` how many there are. True when it is
   * time to say how scarce places are.
   */
  readonly note: (key: string, asked: Asked, hosts: number, atMs: number) => boolean;
  /** How scarce places are now for each request of the mix: see scarcity.ts. */
  readonly weigh: (scarcities: readonly number[]) => void;
  /** Something that was placed has ended, after so long; null: that says nothing of others. `standing`: how many have not. */
  readonly ended: (afterMs: number | null, standing: () => number) => void;
  /** How long what is placed stays. */
  readonly survival: Lifetimes["survival"];
  /** Nobody asks for these dimensions any more, and others stand in their places: whoever asked for them is forgotten. */
  readonly forgetAmounts: (columns: readonly number[]) => void;
  readonly facts: () => DemandFacts;
}

/** Placements after which half is forgotten: a day's worth for a small cluster, and in a large one a few for each host. */
const HALF_LIFE = 2_048;
const HALF_LIFE_PER_HOST = 4;
const MIX_SIZE = 8;
/** Of requests for devices: fewer tasks, of more shapes, of which no other kind of host could take one. */
const DEVICE_MIX_SIZE = 48;
const MAX_KNOWN = 256;
/** The demand is compared with the mix after 1, 2, 4, … placements, and so often in a half-life. */
const COMPARISONS = 4;
/** Renewed when this share of the demand, counted on both sides, is another one. */
const NOTICEABLE = 0.3;

/** How scarce places are is looked at after so many placements, or one for so many hosts. */
const WEIGHED_AFTER = 16;
const HOSTS_PER_WEIGHED = 8;
/** And becomes news when it has changed by so much for any request. */
const SCARCER = 1.25;

export const EMPTY_MIX: Mix = { version: 0, requests: [], returns: 1 };

/** Thousandths of devices, whatever they are. */
const devicesIn = (devices: readonly DeviceAsk[] = []): number =>
  devices.reduce((sum, { count, each }) => sum + count * (each["milli"] ?? WHOLE_DEVICE), 0);

/** Columns of devices are nothing that a request has. */
const short = (request: Vector): number[] => [...request.subarray(0, BASE)];

/** A power of two, so that the moments stay in step while hosts come and go: `least`, itself one, or what is enough. */
const powerFrom = (least: number, enough: number): number => {
  let power = least;
  while (power < enough) power *= 2;
  return power;
};

/** With `learned` it goes on where that one was. */
export const createDemand = (learned?: DemandFacts): Demand => {
  const known = new Map<string, Asked & { count: number }>(
    learned?.known.map(([amounts, count, devices]) => {
      const request = padded(amounts);
      return [demandKeyOf(request, devices), { request, count, devices }];
    }),
  );
  let mix: Mix =
    learned === undefined
      ? EMPTY_MIX
      : {
          version: learned.version,
          requests: learned.mix.map(({ request, ...more }) => ({ request: padded(request), ...more })),
          returns: learned.returnsLevel ?? 1,
        };
  let shares = new Map<string, number>(learned?.shares);
  let noted = learned?.noted ?? 0;
  const returns = createReturns(learned?.returns, mix.returns);
  const lifetimes = createLifetimes(learned?.lifetimes);

  const forget = (): void => {
    for (const [key, entry] of known) {
      entry.count /= 2;
      if (entry.count < 0.1) known.delete(key);
    }
    returns.forget();
    lifetimes.forget();
  };

  const heaviest = () => [...known].sort(([a, left], [b, right]) => right.count - left.count || (a < b ? -1 : 1));

  /** The most frequent, and beside them those that take most of devices. */
  const chosen = () => {
    const all = heaviest();
    const mass = ({ devices, count }: Asked & { readonly count: number }): number => count * devicesIn(devices);
    const plain = all.filter(([, { devices }]) => devices === undefined).slice(0, MIX_SIZE);
    const some = all
      .filter(([, { devices }]) => devices !== undefined)
      .sort(([a, left], [b, right]) => mass(right) - mass(left) || (a < b ? -1 : 1));
    return [...plain, ...some.slice(0, DEVICE_MIX_SIZE)];
  };

  const renew = (): void => {
    const total = [...known.values()].reduce((sum, { count }) => sum + count, 0);
    const next = new Map([...known].map(([key, { count }]) => [key, count / total]));
    // All of the demand is compared, not only what is in the mix: among many requests of like weight it is chance which are.
    let turned = 0;
    for (const key of new Set([...next.keys(), ...shares.keys()])) {
      turned += Math.abs((next.get(key) ?? 0) - (shares.get(key) ?? 0));
    }
    if (turned <= NOTICEABLE) return;
    shares = next;
    const top = chosen();
    const sum = top.reduce((weight, [, { count }]) => weight + count, 0);
    mix = {
      ...mix,
      version: mix.version + 1,
      requests: top.map(([, { request, count, devices }]) => ({ request, devices, weight: count / sum })),
    };
  };

  return {
    get mix() {
      return mix;
    },
    facts: () => ({
      known: [...known.values()].map(({ request, count, devices }) =>
        devices === undefined ? ([short(request), count] as const) : ([short(request), count, devices] as const),
      ),
      shares: [...shares],
      noted,
      version: mix.version,
      mix: mix.requests.map(({ request, weight, devices, scarcity }) => ({
        request: short(request),
        weight,
        ...(devices !== undefined && { devices }),
        ...(scarcity !== undefined && { scarcity }),
      })),
      returns: returns.facts(),
      returnsLevel: returns.level(),
      lifetimes: lifetimes.facts(),
    }),
    ended: (afterMs, standing) => {
      returns.ended();
      if (afterMs !== null) lifetimes.note(afterMs, standing);
    },
    survival: lifetimes.survival,
    note: (key, { request, devices }, hosts, atMs) => {
      const { requests } = mix;
      returns.placed(atMs);
      const entry = known.get(key);
      if (entry !== undefined) entry.count += 1;
      else {
        known.set(key, { request, count: 1, devices });
        // A flood of requests that nobody repeats must not grow without bound, nor push out what is asked for often.
        if (known.size > MAX_KNOWN) known.delete(heaviest().at(-1)?.[0] ?? key);
      }
      noted += 1;
      const halfLife = powerFrom(HALF_LIFE, HALF_LIFE_PER_HOST * hosts);
      if (noted % halfLife === 0) forget();
      if ((noted & (noted - 1)) === 0 || noted % (halfLife / COMPARISONS) === 0) renew();
      if (mix.returns !== returns.level()) mix = { ...mix, version: mix.version + 1, returns: returns.level() };
      return mix.requests !== requests || noted % powerFrom(WEIGHED_AFTER, hosts / HOSTS_PER_WEIGHED) === 0;
    },
    forgetAmounts: (columns) => {
      const asks = ({ request }: Asked): boolean => columns.some((at) => (request[at] as number) > 0);
      for (const [key, entry] of known) if (asks(entry) && known.delete(key)) shares.delete(key);
      const rest = mix.requests.filter((one) => !asks(one));
      if (rest.length === mix.requests.length) return;
      const sum = rest.reduce((total, { weight }) => total + weight, 0);
      const requests = rest.map((one) => ({ ...one, weight: one.weight / sum }));
      mix = { ...mix, version: mix.version + 1, requests };
    },
    weigh: (scarcities) => {
      const isNews = ({ scarcity = 1 }: Mix["requests"][number], at: number): boolean => {
        const now = scarcities[at] ?? 1;
        return now > scarcity * SCARCER || now * SCARCER < scarcity;
      };
      if (!mix.requests.some(isNews)) return;
      const requests = mix.requests.map((one, at) => ({ ...one, scarcity: scarcities[at] }));
      mix = { ...mix, version: mix.version + 1, requests };
    },
  };
};
