/** What has happened, for people and programs that look on: every record of the log as an event, in the log's order. */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { OriginSchema } from "./log.ts";

const whole = Type.Integer({ minimum: 0 });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

/**
 * `sequence` is that of the transaction in the log, `part` the place of the record in it: both together name an event for
 * good. `kind` is the record's (docs/reference/bus.md); newer schedulers know more of them. What an event is not about is
 * null. `origin` says who asked for it, and is null for what nobody did.
 */
export const EventSchema = Type.Object(
  {
    sequence: whole,
    part: whole,
    atMs: whole,
    kind: Type.String({ pattern: "^[a-z_]{1,64}$" }),
    /** A sentence. */
    message: Type.String(),
    project: orNull(ProjectNameSchema),
    job: orNull(JobNameSchema),
    /** Which task of the job. */
    index: orNull(whole),
    allocation: orNull(AllocationIdSchema),
    host: orNull(HostIdSchema),
    /** What led to it: a request, a report, an evaluation. */
    cause: Type.String(),
    origin: orNull(OriginSchema),
  },
  { additionalProperties: false },
);
export type Event = Static<typeof EventSchema>;

/** Longest run of newest events that may be asked for. */
export const MAX_EVENT_TAIL = 10_000;
