/**
 * Bandwidth of a host's link, both ways, as two further dimensions. A host has what the kernel says of its link or what its
 * operator says; a job asks under `resources.network`. Booked, and nothing else: nobody is slowed down to it.
 */
import Type, { type Static } from "#typebox";
import type { DocumentErrors } from "./job-errors.ts";
import { err, ok, type Result } from "./result.ts";
import { parseBits } from "./units.ts";

export const NETWORK = { ingress: "netIngressBits", egress: "netEgressBits" } as const;
type Way = keyof typeof NETWORK;
export const WAYS = Object.keys(NETWORK) as readonly Way[];

/** A bare 100 is nobody's bandwidth, but a unit that was forgotten. */
const MIN_BITS = 1_000;
const MAX_BITS = 1e14;

const rate = (description: string) => Type.Union([Type.String({ maxLength: 32 }), Type.Number()], { description });

export const NetworkDocumentSchema = Type.Object(
  {
    ingress: Type.Optional(rate("bits per second to the task: 100M")),
    egress: Type.Optional(rate("bits per second from the task: 1G")),
  },
  { additionalProperties: false, description: "bandwidth of its host's link; booked, and not enforced" },
);
type NetworkDocument = Static<typeof NetworkDocumentSchema>;

/** Of a request, or of a limit, which may be none at all. */
export const parseBandwidthLimit = (input: string | number): Result<number, string> => {
  const bits = parseBits(input);
  return bits.ok && bits.value === 0 ? bits : bandwidth(input);
};

const bandwidth = (input: string | number): Result<number, string> => {
  const bits = parseBits(input);
  if (!bits.ok) return bits;
  return bits.value < MIN_BITS || bits.value > MAX_BITS ? err("must be between 1k and 100T bits per second") : bits;
};

/** Adds what is asked for to `further`. */
export const networkOf = (
  network: NetworkDocument = {},
  further: Record<string, number>,
  errors: DocumentErrors,
): void => {
  for (const way of WAYS) {
    const given = network[way];
    if (given === undefined) continue;
    const at = `/resources/network/${way}`;
    const dimension = NETWORK[way];
    if (further[dimension] !== undefined) errors.add(at, `is asked for twice, see more.${dimension}`);
    further[dimension] = errors.take(at, bandwidth(given), 0);
  }
};

const HELP = "write it like 1G, ingress=1G,egress=200M or none";

/** What an operator says that a host has: `1G` both ways, `ingress=1G,egress=200M`, `none`. By dimension. */
export const parseNetwork = (text: string): Result<Readonly<Record<string, number>>, string> => {
  if (text === "none") return ok({ [NETWORK.ingress]: 0, [NETWORK.egress]: 0 });
  const pairs = text.includes("=") ? text.split(",") : WAYS.map((way) => `${way}=${text}`);
  const found: Record<string, number> = {};
  for (const pair of pairs) {
    const [, name, value] = /^(\w+)=(.+)$/.exec(pair) ?? [];
    const way = WAYS.find((one) => one === name);
    if (way === undefined || value === undefined) return err(`"${text}": ${HELP}`);
    const dimension = NETWORK[way];
    if (found[dimension] !== undefined) return err(`"${text}" says ${way} twice`);
    const bits = bandwidth(value);
    if (!bits.ok) return err(`${value}: ${bits.error}`);
    found[dimension] = bits.value;
  }
  return ok(found);
};
