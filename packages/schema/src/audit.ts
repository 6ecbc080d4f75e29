/**
 * The audit trail: who changed what, from where, with what result, and who was refused. It is part of what the log folds
 * to, so a change and its entry are one transaction. Of a request it holds the address, names and the outcome: never a
 * body, a secret, or text that whoever asked has chosen.
 */
import Type, { type Static } from "#typebox";
import { EventSchema } from "./event.ts";
import { OriginSchema } from "./log.ts";

const whole = Type.Integer({ minimum: 0 });

/** Entries that are kept: the newest of each. Refusals have a bound of their own, so that nobody washes changes away with them. */
export const MAX_AUDIT_CHANGES = 20_000;
export const MAX_AUDIT_REFUSALS = 5_000;
export const MAX_AUDIT_PAGE = 1_000;

export const AUDIT_RESULTS = ["done", "refused"] as const;

/** An event that somebody asked for. `code` is that of the problem, for what was refused. */
export const AuditEntrySchema = Type.Object(
  {
    ...Type.Omit(EventSchema, ["origin", "index", "allocation"]).properties,
    origin: OriginSchema,
    result: Type.Enum([...AUDIT_RESULTS]),
    code: Type.Union([Type.String(), Type.Null()]),
  },
  { additionalProperties: false },
);
export type AuditEntry = Static<typeof AuditEntrySchema>;

/**
 * The oldest first. `next`: ask again with it as `since`; null when there is nothing more now. Whole transactions, so a
 * page may be a little longer than its limit. `revision`: how far this scheduler has read the log.
 */
export const AuditListSchema = Type.Object(
  { items: Type.Array(AuditEntrySchema), next: Type.Union([whole, Type.Null()]), revision: whole },
  { additionalProperties: false },
);
export type AuditList = Static<typeof AuditListSchema>;
