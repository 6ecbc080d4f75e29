/**
 * The dimensions that are booked. Adding one is adding a line to DIMENSIONS: packing, validation, explanations and
 * tables all walk this list.
 */
import Type, { type Static } from "typebox";

export const DIMENSIONS = ["cpuMillis", "memoryBytes", "pids"] as const;
export type Dimension = (typeof DIMENSIONS)[number];
export const DimensionSchema = Type.Enum([...DIMENSIONS]);

const amount = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** An amount of each dimension: thousandths of a CPU, bytes, processes. */
export const ResourcesSchema = Type.Object(
  { cpuMillis: amount, memoryBytes: amount, pids: amount },
  { additionalProperties: false },
);
export type Resources = Static<typeof ResourcesSchema>;

export const noResources = (): Resources => ({ cpuMillis: 0, memoryBytes: 0, pids: 0 });

/** What the kernel enforces. `cpuMillis: null` means no quota: the container may use idle time of the whole host. */
export const LimitsSchema = Type.Object(
  { cpuMillis: Type.Union([amount, Type.Null()]), memoryBytes: amount, pids: amount },
  { additionalProperties: false },
);
export type Limits = Static<typeof LimitsSchema>;
