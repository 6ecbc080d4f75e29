/**
 * Who may do what: tokens of the API, each with one role, bound to projects or to none. The token is shown once, when it is
 * made; the log only ever holds its SHA-256.
 */
import Type, { type Static } from "#typebox";
import { ProjectNameSchema, type ProjectName } from "./ids.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });
const LABEL = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/**
 * Each may do all that those before it may.
 * `viewer` reads; `submitter` submits and stops jobs; `operator` cares for hosts, images and joining, and may give
 * containers directories of a host; `admin` decides who may what.
 */
export const ROLES = ["viewer", "submitter", "operator", "admin"] as const;
export const RoleSchema = Type.Enum([...ROLES]);
export type Role = (typeof ROLES)[number];

export const includesRole = (has: Role, needed: Role): boolean => ROLES.indexOf(has) >= ROLES.indexOf(needed);

/** The token of the data directory is called so, and no other. */
export const ADMIN_NAME = "admin";

export const AccessIdSchema = Type.String({ pattern: "^[a-z0-9]{10}$" });
export const AccessNameSchema = Type.String({
  pattern: LABEL,
  description: "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit",
});
/** SHA-256 of the token's secret part, in hex. */
export const AccessDigestSchema = Type.String({ pattern: "^[0-9a-f]{64}$" });

export const MAX_ACCESS_PROJECTS = 64;
/** Null: all of them, and what belongs to none, like hosts. */
export const AccessProjectsSchema = Type.Union([
  Type.Array(ProjectNameSchema, { minItems: 1, maxItems: MAX_ACCESS_PROJECTS, uniqueItems: true }),
  Type.Null(),
]);
export type AccessProjects = readonly ProjectName[] | null;

/** `POST /v1/access`. */
export const AccessRequestSchema = Type.Object(
  {
    name: AccessNameSchema,
    role: RoleSchema,
    projects: Type.Optional(
      Type.Array(ProjectNameSchema, {
        minItems: 1,
        maxItems: MAX_ACCESS_PROJECTS,
        uniqueItems: true,
        description: "only these; default: all",
      }),
    ),
    ttl: Type.Optional(Type.String({ maxLength: 32, description: "how long it is good: 90d; default: until revoked" })),
  },
  strict,
);
export type AccessRequest = Static<typeof AccessRequestSchema>;

export const AccessViewSchema = Type.Object(
  {
    id: AccessIdSchema,
    name: AccessNameSchema,
    role: RoleSchema,
    projects: AccessProjectsSchema,
    expiresAtMs: Type.Union([whole, Type.Null()]),
    createdBy: Type.String(),
    createdAtMs: whole,
    /** As the scheduler that was asked has seen; null: never. Absent: an older one. */
    lastUsedAtMs: Type.Optional(Type.Union([whole, Type.Null()])),
  },
  strict,
);
export type AccessView = Static<typeof AccessViewSchema>;

/** The only time that the token is shown. */
export const AccessMadeSchema = Type.Object({ token: Type.String(), access: AccessViewSchema }, strict);
export type AccessMade = Static<typeof AccessMadeSchema>;
export const AccessListSchema = Type.Object({ items: Type.Array(AccessViewSchema) }, strict);
export type AccessList = Static<typeof AccessListSchema>;
export const AccessRevokedSchema = Type.Object({ id: AccessIdSchema, revision: whole }, strict);
export type AccessRevoked = Static<typeof AccessRevokedSchema>;

/** `GET /v1/access/self`: whom the API takes the caller for. */
export const SelfSchema = Type.Object(
  {
    name: Type.String(),
    /** Null: the token of the data directory. */
    id: Type.Union([AccessIdSchema, Type.Null()]),
    role: RoleSchema,
    projects: AccessProjectsSchema,
    via: Type.Enum(["token", "session"]),
    expiresAtMs: Type.Union([whole, Type.Null()]),
    /**
     * What it may change: `POST` and the address as it is in routes.ts; what belongs to a project, in its `projects` only.
     * Absent: an older scheduler.
     */
    may: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
  },
  strict,
);
export type Self = Static<typeof SelfSchema>;

const PREFIX = "berth";

export const formatAccessToken = (id: string, secret: string): string => `${PREFIX}.${id}.${secret}`;

/** Undefined for what cannot be one. */
export const parseAccessToken = (text: string): { readonly id: string; readonly secret: string } | undefined => {
  const match = /^berth\.([a-z0-9]{10})\.([A-Za-z0-9_-]{43})$/.exec(text);
  return match === null ? undefined : { id: match[1] ?? "", secret: match[2] ?? "" };
};
