/** Questions about a cluster that is not: hosts gone or added, more work. The answers come from a copy; nothing is changed. */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { OutcomeSchema } from "./plan.ts";

const strict = { additionalProperties: false } as const;
const count = Type.Integer({ minimum: 0 });
const MAX_HOSTS = 1_000;
/** An answer lists at most this many tasks of a kind; its totals count them all. */
export const MAX_WHAT_IF_TASKS = 1_000;

export const WhatIfRequestSchema = Type.Object(
  {
    /** Hosts that are gone at once, with all that runs there. */
    lose: Type.Optional(Type.Array(HostIdSchema, { maxItems: MAX_HOSTS })),
    /** Hosts that are emptied: services move, batch tasks finish there. */
    drain: Type.Optional(Type.Array(HostIdSchema, { maxItems: MAX_HOSTS })),
    /** New, empty hosts, each like one that is known. */
    add: Type.Optional(
      Type.Array(Type.Object({ like: HostIdSchema, count: Type.Integer({ minimum: 1, maximum: MAX_HOSTS }) }, strict), {
        maxItems: 16,
      }),
    ),
    /** More tasks of jobs that are there. */
    more: Type.Optional(
      Type.Array(
        Type.Object(
          {
            project: ProjectNameSchema,
            job: JobNameSchema,
            count: Type.Integer({ minimum: 1, maximum: 100_000 }),
          },
          strict,
        ),
        { maxItems: 16 },
      ),
    ),
  },
  strict,
);
export type WhatIfRequest = Static<typeof WhatIfRequestSchema>;

const task = { project: ProjectNameSchema, job: JobNameSchema };
const from = Type.Union([HostIdSchema, Type.Null()]);

export const WhatIfViewSchema = Type.Object(
  {
    revision: count,
    /** The hosts that were made up. */
    added: Type.Array(HostIdSchema),
    /** Tasks that would get a place, those that wait now included: `from` where they are, or null; `index` is null for one of `more`. */
    placed: Type.Array(
      Type.Object({ ...task, index: Type.Union([count, Type.Null()]), from, to: HostIdSchema }, strict),
    ),
    /** Tasks that the change leaves without one. */
    blocked: Type.Array(
      Type.Object(
        {
          ...task,
          index: Type.Union([count, Type.Null()]),
          from,
          sentence: Type.String(),
          outcome: OutcomeSchema,
        },
        strict,
      ),
    ),
    /** Batch tasks that would finish where they are. */
    finish: Type.Array(AllocationIdSchema),
    totals: Type.Object({ placed: count, blocked: count, finish: count }, strict),
    /** Hosts with nothing on them, and hosts that take work, afterwards. */
    hosts: Type.Object({ open: count, empty: count }, strict),
  },
  strict,
);
export type WhatIfView = Static<typeof WhatIfViewSchema>;

/** The standing answer to “which host could be lost now, and what would not fit?” */
export const HostLossesSchema = Type.Object(
  {
    revision: count,
    hosts: Type.Array(
      Type.Object(
        {
          host: HostIdSchema,
          /** Tasks there that should go on. */
          tasks: count,
          /** Those of them that no other host could take. */
          stranded: count,
          /** What stands against the first of them, or null. */
          sentence: Type.Union([Type.String(), Type.Null()]),
        },
        strict,
      ),
    ),
  },
  strict,
);
export type HostLosses = Static<typeof HostLossesSchema>;
