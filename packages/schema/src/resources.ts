/**
 * The dimensions that are booked. Three of them every host has and every task uses; any number of others are data: a host
 * says under `more` what else it has, a task says under `more` what else it asks for, and packing, validation, explanations
 * and tables treat both alike.
 */
import Type, { type Static } from "#typebox";

export const DIMENSIONS = ["cpuMillis", "memoryBytes", "pids"] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** A further dimension by its name, unit last: `diskBytes`, `netEgressBits`, `netIngressBits`, `gpu`, `license.matlab`. */
export const FURTHER_DIMENSION = "^[a-z][A-Za-z0-9._-]{0,39}$";
/** Of any kind: one of DIMENSIONS or a further one. */
export const AnyDimensionSchema = Type.String({ pattern: FURTHER_DIMENSION });
export type AnyDimension = string;

/** Of further dimensions, in words. */
const IN_WORDS: Readonly<Record<string, string>> = {
  diskBytes: "disk",
  netIngressBits: "network ingress",
  netEgressBits: "network egress",
};
export const furtherInWords = (dimension: AnyDimension): string =>
  Object.hasOwn(IN_WORDS, dimension) ? (IN_WORDS[dimension] ?? dimension) : dimension;

/** The kernel cannot run a container in less: its first process would be killed before its first instruction. */
export const MIN_MEMORY_BYTES = 4 * 2 ** 20;
export const MAX_MEMORY_BYTES = 2 ** 50;
export const MIN_CPU_MILLIS = 10;
export const MAX_CPU_MILLIS = 1_000_000_000;
/** The most that a kernel can be told (PID_MAX_LIMIT). */
export const MAX_PIDS = 4_194_304;

const amount = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** An amount by name, 0 where there is none: names such as `constructor` are what every object has, and no amount. */
export const amountIn = (amounts: Readonly<Record<string, number>> | undefined, name: string): number =>
  amounts !== undefined && Object.hasOwn(amounts, name) ? (amounts[name] ?? 0) : 0;

/** How many further dimensions a host or a quota may name; what no job asks for counts nowhere. */
export const MAX_FURTHER = 18;
export const FurtherSchema = Type.Record(Type.String({ pattern: FURTHER_DIMENSION }), amount, {
  additionalProperties: false,
  maxProperties: MAX_FURTHER,
});

/** An amount of each dimension: thousandths of a CPU, bytes, processes, and whatever else by name. */
export const ResourcesSchema = Type.Object(
  { cpuMillis: amount, memoryBytes: amount, pids: amount, more: Type.Optional(FurtherSchema) },
  { additionalProperties: false },
);
export type Resources = Static<typeof ResourcesSchema>;

export const noResources = (): Resources => ({ cpuMillis: 0, memoryBytes: 0, pids: 0 });

/** What the kernel enforces. `cpuMillis: null` means no quota: the container may use idle time of the whole host. */
export const LimitsSchema = Type.Object(
  {
    cpuMillis: Type.Union([amount, Type.Null()]),
    memoryBytes: amount,
    pids: amount,
    cpuBurstMillis: Type.Optional(amount),
    memoryHighBytes: Type.Optional(amount),
    memoryLowBytes: Type.Optional(amount),
    swapBytes: Type.Optional(amount),
    ioWeight: Type.Optional(amount),
  },
  { additionalProperties: false },
);
export type Limits = Static<typeof LimitsSchema>;
