/** What the core decides, with the reasons inside: placements with their score, refusals with every host's first failing check. */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { AnyDimensionSchema } from "./resources.ts";

const whole = Type.Integer();

/** `total` is 0…1; `parts` are its named ingredients, each 0…1, with the weight that it had. */
export const ScoreBreakdownSchema = Type.Object(
  {
    total: Type.Number(),
    parts: Type.Array(
      Type.Object(
        { name: Type.String({ maxLength: 64 }), value: Type.Number(), weight: Type.Number() },
        { additionalProperties: false },
      ),
      { maxItems: 16 },
    ),
  },
  { additionalProperties: false },
);
export type ScoreBreakdown = Static<typeof ScoreBreakdownSchema>;

/**
 * What a host has of a task's image, and where the rest would come from. `startMs`: until it could start, by what that host
 * has fetched and unpacked in a second so far; null: nothing was measured.
 */
export const ImageStartSchema = Type.Object(
  {
    from: Type.Enum(["here", "cluster", "registry"]),
    fetchBytes: Type.Integer({ minimum: 0 }),
    startMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  },
  { additionalProperties: false },
);
export type ImageStart = Static<typeof ImageStartSchema>;

export const CandidateSchema = Type.Object(
  { hostId: HostIdSchema, score: ScoreBreakdownSchema },
  { additionalProperties: false },
);
export type Candidate = Static<typeof CandidateSchema>;

/** What may stand against a host beside its room. */
const RULE_REASONS = [
  ...["constraint", "max_per_host", "apart", "together", "spread", "volume", "device", "port"],
  /** `rule` is a dimension that cannot be counted any more. */
  "uncounted",
] as const;

/** Why one host cannot take a task: the first check that failed. `short` is how much more would be needed. */
export const HostRejectionSchema = Type.Union([
  Type.Object(
    { hostId: HostIdSchema, reason: Type.Enum(["cordoned", "draining", "disconnected"]) },
    { additionalProperties: false },
  ),
  Type.Object({ hostId: HostIdSchema, reason: Type.Literal("lost") }, { additionalProperties: false }),
  Type.Object(
    {
      hostId: HostIdSchema,
      reason: Type.Enum(["exhausted", "too_small"]),
      dimension: AnyDimensionSchema,
      requested: whole,
      free: whole,
      short: whole,
    },
    { additionalProperties: false },
  ),
  /** `rule` is what the job says; `actual` is what stands against it there, in words. */
  Type.Object(
    {
      hostId: HostIdSchema,
      reason: Type.Enum([...RULE_REASONS]),
      rule: Type.String({ maxLength: 600 }),
      actual: Type.String({ maxLength: 600 }),
    },
    { additionalProperties: false },
  ),
  /** It has the room, and keeps it for a task that waits longer: null when nobody knows until when. */
  Type.Object(
    {
      hostId: HostIdSchema,
      reason: Type.Literal("kept"),
      keptFor: Type.String({ maxLength: 256 }),
      untilMs: Type.Union([whole, Type.Null()]),
    },
    { additionalProperties: false },
  ),
]);
export type HostRejection = Static<typeof HostRejectionSchema>;

/** One change that would let the task run, smallest first. */
export const UnblockHintSchema = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("free_resources"),
      hostId: HostIdSchema,
      dimension: AnyDimensionSchema,
      short: whole,
    },
    { additionalProperties: false },
  ),
  Type.Object(
    { kind: Type.Literal("reduce_request"), dimension: AnyDimensionSchema, to: whole },
    { additionalProperties: false },
  ),
  /** The only rule that stands against so many hosts with room. */
  Type.Object(
    {
      kind: Type.Literal("relax_rule"),
      reason: Type.Enum([...RULE_REASONS]),
      rule: Type.String({ maxLength: 600 }),
      hosts: whole,
    },
    { additionalProperties: false },
  ),
  /** By what is known of run limits there will be room then. */
  Type.Object({ kind: Type.Literal("wait"), hostId: HostIdSchema, untilMs: whole }, { additionalProperties: false }),
  /** Less important work of this job alone would make room, and its disruption budget forbids to stop so many more. */
  Type.Object(
    { kind: Type.Literal("relax_disruption"), job: Type.String({ maxLength: 256 }), more: whole },
    { additionalProperties: false },
  ),
  /** A job of this priority would get the room of less important work. */
  Type.Object(
    { kind: Type.Literal("raise_priority"), above: Type.String({ maxLength: 64 }), victims: whole },
    { additionalProperties: false },
  ),
  Type.Object({ kind: Type.Literal("add_host") }, { additionalProperties: false }),
]);
export type UnblockHint = Static<typeof UnblockHintSchema>;

/** Why a task has no allocation now although no host refused it. */
export const HoldSchema = Type.Union([
  /**
   * Its project holds as much as it may. `dimension` is `tasks` or what they request; `requested` is what this task adds, or
   * all of a gang that start together; `short` is how much less would have to be held, or more allowed.
   */
  Type.Object(
    {
      kind: Type.Literal("quota"),
      project: ProjectNameSchema,
      dimension: AnyDimensionSchema,
      limit: whole,
      used: whole,
      requested: whole,
      short: whole,
    },
    { additionalProperties: false },
  ),
  Type.Object({ kind: Type.Literal("max_running"), limit: whole, running: whole }, { additionalProperties: false }),
  Type.Object({ kind: Type.Literal("backoff"), untilMs: whole, attempt: whole }, { additionalProperties: false }),
  Type.Object({ kind: Type.Literal("previous_stopping") }, { additionalProperties: false }),
  /** Its room is kept for it on this host, and becomes free when so many others have ended. */
  Type.Object(
    { kind: Type.Literal("room_reserved"), hostId: HostIdSchema, waitsFor: whole },
    { additionalProperties: false },
  ),
  /** There is room for some of a gang, not for as many as it needs. */
  Type.Object({ kind: Type.Literal("gang"), needed: whole, able: whole }, { additionalProperties: false }),
  /** It fits on this host, whose room is kept for a task that waits longer: null when nobody knows until when. */
  Type.Object(
    {
      kind: Type.Literal("backfill"),
      hostId: HostIdSchema,
      keptFor: Type.String({ maxLength: 256 }),
      untilMs: Type.Union([whole, Type.Null()]),
    },
    { additionalProperties: false },
  ),
]);
export type Hold = Static<typeof HoldSchema>;

/** A task that would be, or was, stopped for a more important one. */
export const VictimSchema = Type.Object(
  {
    id: AllocationIdSchema,
    project: ProjectNameSchema,
    job: JobNameSchema,
    index: Type.Integer({ minimum: 0 }),
    priority: Type.String({ maxLength: 64 }),
  },
  { additionalProperties: false },
);
export type Victim = Static<typeof VictimSchema>;

/** Where the job of a task that waits stands among the jobs that wait. */
export const QueuePlaceSchema = Type.Object(
  {
    /** From 1. */
    position: Type.Integer({ minimum: 1 }),
    of: Type.Integer({ minimum: 1 }),
    priority: Type.String({ maxLength: 64 }),
    /** Whole bands that it has risen by waiting. */
    risen: whole,
    waitedMs: whole,
    /** Of the cluster, 0…1: what its project holds of its dominant resource, and held on average lately. */
    share: Type.Number(),
    recentShare: Type.Number(),
    /** Of its project: what the share is divided by before projects are compared. Absent: 100. */
    weight: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
export type QueuePlace = Static<typeof QueuePlaceSchema>;

export const OutcomeSchema = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("placed"),
      hostId: HostIdSchema,
      score: ScoreBreakdownSchema,
      runnersUp: Type.Array(CandidateSchema, { maxItems: 8 }),
      /** Absent when nobody knows anything of its image, or it is part of Berth. */
      image: Type.Optional(ImageStartSchema),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      kind: Type.Literal("blocked"),
      hosts: Type.Array(HostRejectionSchema),
      unblockedBy: Type.Array(UnblockHintSchema, { maxItems: 16 }),
    },
    { additionalProperties: false },
  ),
  /** It gets the room of less important tasks, which are stopped first. */
  Type.Object(
    { kind: Type.Literal("preempts"), hostId: HostIdSchema, victims: Type.Array(VictimSchema) },
    { additionalProperties: false },
  ),
  Type.Object({ kind: Type.Literal("held"), hold: HoldSchema }, { additionalProperties: false }),
  Type.Object(
    { kind: Type.Literal("finished"), result: Type.Enum(["succeeded", "failed", "stopped"]) },
    { additionalProperties: false },
  ),
]);
/** What would happen, or has happened, to one task. The same shape answers `plan`, `why` and the dashboard. */
export type Outcome = Static<typeof OutcomeSchema>;

export const MAX_LACKING = 50;

/** `GET …/tasks/:index/why`: the outcome, and one sentence that says it. */
export const WhySchema = Type.Object(
  {
    project: ProjectNameSchema,
    job: JobNameSchema,
    index: Type.Integer({ minimum: 0 }),
    sentence: Type.String(),
    outcome: OutcomeSchema,
    /** Absent for a task that does not wait. */
    queue: Type.Optional(QueuePlaceSchema),
    /** Of a task that is placed: the hosts that it could have now, its own room given back, best first. */
    now: Type.Optional(Type.Array(CandidateSchema, { maxItems: 8 })),
    /** Of a daemon: the hosts on which none of it runs or is about to, and why, the first by name; `total` counts all. */
    lacking: Type.Optional(
      Type.Object(
        {
          total: Type.Integer({ minimum: 0 }),
          hosts: Type.Array(
            Type.Object({ hostId: HostIdSchema, sentence: Type.String() }, { additionalProperties: false }),
            { maxItems: MAX_LACKING },
          ),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type Why = Static<typeof WhySchema>;

/** `GET …/tasks/:index/why-not/:host`: what that host lacks now, or how it scores beside the chosen one. */
export const WhyNotSchema = Type.Object(
  {
    project: ProjectNameSchema,
    job: JobNameSchema,
    index: Type.Integer({ minimum: 0 }),
    host: HostIdSchema,
    sentence: Type.String(),
    /** The first check that fails there, or null. */
    refusal: Type.Union([HostRejectionSchema, Type.Null()]),
    /** Of that host, when nothing fails there. */
    score: Type.Union([ScoreBreakdownSchema, Type.Null()]),
    /** Where the task is, with the score that it had when it was placed. */
    chosen: Type.Union([CandidateSchema, Type.Null()]),
  },
  { additionalProperties: false },
);
export type WhyNot = Static<typeof WhyNotSchema>;

/** `POST /v1/jobs?dryRun=true`: what running this document would do now. Nothing is changed. */
export const PlanViewSchema = Type.Object(
  {
    project: ProjectNameSchema,
    job: JobNameSchema,
    action: Type.Enum(["create", "replace", "change_limits", "run_again", "unchanged"]),
    version: Type.Integer({ minimum: 1 }),
    revision: Type.Integer({ minimum: 0 }),
    stops: Type.Integer({ minimum: 0 }),
    tasks: Type.Array(
      Type.Object(
        { index: Type.Integer({ minimum: 0 }), sentence: Type.String(), outcome: OutcomeSchema },
        { additionalProperties: false },
      ),
    ),
    /** Sentences on what some host would not enforce. */
    warnings: Type.Array(Type.String()),
  },
  { additionalProperties: false },
);
export type PlanView = Static<typeof PlanViewSchema>;
