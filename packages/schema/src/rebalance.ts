/** Moving what runs: what is asked for, and the plan that answers. A plan changes nothing. */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";

const strict = { additionalProperties: false } as const;
const count = Type.Integer({ minimum: 0 });

/** `empty`: fewer hosts in use, so that large requests find room. `level`: less on hosts that are fuller than `target`. */
export const REBALANCE_GOALS = ["empty", "level"] as const;
export const MAX_REBALANCE_MOVES = 1_000;

export const RebalanceRequestSchema = Type.Object(
  {
    goal: Type.Optional(Type.Enum([...REBALANCE_GOALS])),
    /** Moves that the plan may have at most. */
    maxMoves: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_REBALANCE_MOVES })),
    /** `level`: the percentage of a host that may be reserved before it counts as too full. */
    targetPercent: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
  },
  strict,
);
export type RebalanceRequest = Static<typeof RebalanceRequestSchema>;
export type RebalanceGoal = NonNullable<RebalanceRequest["goal"]>;

/** Why tasks stay where they are, counted. */
export const STAY_REASONS = [
  "batch",
  "daemon",
  "not_settled",
  "budget",
  "rules",
  "volumes",
  "unschedulable_host",
] as const;

export const RebalancePlanSchema = Type.Object(
  {
    revision: count,
    goal: Type.Enum([...REBALANCE_GOALS]),
    /** In an order in which each fits when it is made, without waiting for the others. */
    moves: Type.Array(
      Type.Object(
        {
          allocation: AllocationIdSchema,
          project: ProjectNameSchema,
          job: JobNameSchema,
          index: count,
          from: HostIdSchema,
          to: HostIdSchema,
        },
        strict,
      ),
    ),
    /** Hosts that have nothing left afterwards. */
    emptied: Type.Array(HostIdSchema),
    /** Of the hosts that were looked at. */
    hostsInUse: Type.Object({ before: count, after: count }, strict),
    /** The fullest dimension of the fullest host, 0 … 1. */
    fullest: Type.Object({ before: Type.Number(), after: Type.Number() }, strict),
    /** For the requests that most tasks have: how many more of them fit. */
    room: Type.Array(
      Type.Object({ cpuMillis: count, memoryBytes: count, pids: count, before: count, after: count }, strict),
    ),
    /** Tasks that the plan could not move. */
    stay: Type.Array(Type.Object({ reason: Type.Enum([...STAY_REASONS]), tasks: count }, strict)),
  },
  strict,
);
export type RebalancePlan = Static<typeof RebalancePlanSchema>;
export type StayReason = RebalancePlan["stay"][number]["reason"];
