/**
 * Ports of hosts that a job asks for by name: a number that it says, or any that its host has free. A host gives numbers of
 * its range to whoever asks for any; who says a number gets one outside of that, so that neither is in the other's way. All
 * that a task asks for is counted in the further dimension `ports`, of which a host has as many as its range is long: as
 * long as there is room in it, a number is free.
 */
import Type, { type Static } from "#typebox";
import type { DocumentErrors } from "./job-errors.ts";

const strict = { additionalProperties: false } as const;

/** The dimension that counts them. */
export const PORTS = "ports";
export const MAX_PORTS = 16;
const PortNumberSchema = Type.Integer({ minimum: 1, maximum: 65_535 });
const PortNameSchema = Type.String({
  pattern: "^[a-z][a-z0-9_]{0,31}$",
  description: "http: the task gets it as BERTH_PORT_HTTP",
});

export const PortDocumentSchema = Type.Object(
  {
    name: PortNameSchema,
    port: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 65_535,
        description: "of the host; default: any of those that it gives out",
      }),
    ),
  },
  strict,
);
type PortDocument = Static<typeof PortDocumentSchema>;

/** `port` null: any. */
export const PortAskSchema = Type.Object(
  { name: PortNameSchema, port: Type.Union([PortNumberSchema, Type.Null()]) },
  strict,
);
export type PortAsk = Static<typeof PortAskSchema>;

/** What an allocation has: in the order of what was asked for. */
export const PortGrantSchema = Type.Object({ name: PortNameSchema, port: PortNumberSchema }, strict);
export const PortGrantsSchema = Type.Array(PortGrantSchema, { maxItems: MAX_PORTS });
export type PortGrant = Static<typeof PortGrantSchema>;

/** Those that a host gives to whoever asks for any, both ends included. */
export const PortRangeSchema = Type.Object({ first: PortNumberSchema, last: PortNumberSchema }, strict);
export type PortRange = Static<typeof PortRangeSchema>;

/** Below what Linux gives to outgoing connections (32768 and up, ip_local_port_range). */
export const DEFAULT_PORT_RANGE: PortRange = { first: 20_000, last: 29_999 };

export const portsIn = ({ first, last }: PortRange): number => Math.max(0, last - first + 1);
export const isInRange = (range: PortRange | undefined, port: number): boolean =>
  range !== undefined && port >= range.first && port <= range.last;

/** The variable in which a task finds one. */
export const portVariable = (name: string): string => `BERTH_PORT_${name.toUpperCase()}`;

/** Adds how many to `further`. */
export const portsOf = (
  ports: readonly PortDocument[] = [],
  further: Record<string, number>,
  errors: DocumentErrors,
): readonly PortAsk[] => {
  if (further[PORTS] !== undefined) errors.add(`/resources/more/${PORTS}`, "is asked for by its own field, see ports");
  ports.forEach(({ name, port }, at) => {
    const others = ports.slice(0, at);
    if (others.some((other) => other.name === name)) errors.add(`/ports/${at}/name`, `${name} is used twice`);
    if (port !== undefined && others.some((other) => other.port === port))
      errors.add(`/ports/${at}/port`, `${port} is asked for twice`);
  });
  if (ports.length > 0) further[PORTS] = ports.length;
  return ports.map(({ name, port }) => ({ name, port: port ?? null }));
};
