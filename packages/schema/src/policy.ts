/**
 * What a job says about its place among others: how important it is, how much of it may be away at once, and whether its
 * tasks are only of use together.
 */
import Type, { type Static } from "#typebox";

const strict = { additionalProperties: false } as const;

/** Most important first. */
export const PRIORITY_BANDS = ["system", "production", "batch", "besteffort"] as const;
export type PriorityBand = (typeof PRIORITY_BANDS)[number];
const BandSchema = Type.Enum([...PRIORITY_BANDS], {
  description: "system, production, batch or besteffort; default: production",
});

export const MAX_LEVEL = 99;
export const DEFAULT_LEVEL = 50;
const level = Type.Integer({
  minimum: 0,
  maximum: MAX_LEVEL,
  description: "within the band, more is first; default: 50",
});

export const PriorityDocumentSchema = Type.Union(
  [BandSchema, Type.Object({ band: BandSchema, level: Type.Optional(level) }, strict)],
  { description: "who goes first, and who may be stopped for whom: system, production, batch or besteffort" },
);

/** Absent in a spec: production, level 50. */
export const PrioritySchema = Type.Object({ band: BandSchema, level }, strict);
export type Priority = Static<typeof PrioritySchema>;

/** Whole numbers, more is more important: a band is worth more than every level of the one below. */
export const priorityOf = ({ priority }: { readonly priority?: Priority }): number => {
  const band = PRIORITY_BANDS.length - 1 - PRIORITY_BANDS.indexOf(priority?.band ?? "production");
  return band * (MAX_LEVEL + 1) + (priority?.level ?? DEFAULT_LEVEL);
};

/** `production`, or `batch 70` where the level is not the usual one. */
export const formatPriority = ({ priority }: { readonly priority?: Priority }): string => {
  const { band, level: at } = priority ?? { band: "production", level: DEFAULT_LEVEL };
  return at === DEFAULT_LEVEL ? band : `${band} ${at}`;
};

const amount = (description: string) => Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000, description }));

/** One of the two, never both. */
export const DisruptionSchema = Type.Object(
  {
    maxUnavailable: amount("so many tasks may be away at once by the cluster's own doing"),
    minAvailable: amount("so many tasks must go on running when the cluster stops some of its own accord"),
  },
  strict,
);
export type Disruption = Static<typeof DisruptionSchema>;

/** A gang is placed in one transaction, which has to hold all of it. */
export const MAX_GANG = 256;
const gangMin = Type.Integer({ minimum: 2, maximum: MAX_GANG, description: "so many of its tasks, or none" });
export const GangDocumentSchema = Type.Union([Type.Boolean(), Type.Object({ min: gangMin }, strict)], {
  description: "true: all tasks are placed together or none is; { min: 4 }: at least so many",
});
export const GangMinSchema = Type.Integer({ minimum: 1, maximum: MAX_GANG });
