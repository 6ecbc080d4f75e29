/**
 * Secrets of a project: values that tasks are given when they start. The log holds them encrypted with a key of the
 * cluster, a desired document sealed to the key of its host; the API never shows one again.
 */
import Type, { type Static } from "#typebox";
import { JobNameSchema, ProjectNameSchema } from "./ids.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });
const NAME = "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$";

export const SECRET_NAME_RULE =
  "1 to 63 lower-case letters, digits, dots, dashes and underscores, starting and ending with a letter or digit";
export const SecretNameSchema = Type.String({ pattern: NAME, description: SECRET_NAME_RULE });
const secretName = new RegExp(NAME);
export const isSecretName = (text: string): boolean => secretName.test(text);

export const MAX_SECRET_BYTES = 16 * 1024;
export const MAX_SECRETS_PER_PROJECT = 200;
export const MAX_SECRETS = 2_000;
/** Of one job: a desired document, which is one message, has to hold those of all tasks of its host. */
export const MAX_SECRETS_PER_JOB = 16;

/** Where files of secrets are in a container. */
export const SECRETS_DIRECTORY = "/run/secrets";

/** What a task is given. Without `env` and `file`: a file with the name of the secret. */
export const SecretUseSchema = Type.Object(
  {
    secret: SecretNameSchema,
    env: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
        maxLength: 256,
        description: "variable that holds it; a file is safer: every child inherits variables",
      }),
    ),
    file: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$",
        description: `file below ${SECRETS_DIRECTORY} that holds it, in memory, for the user of the task alone; default: the name of the secret, unless env is given`,
      }),
    ),
  },
  strict,
);
export type SecretUse = Static<typeof SecretUseSchema>;

/** Encrypted with a key of the cluster, base64; bound to the secret's name. */
export const EncryptedSchema = Type.String({ pattern: "^[A-Za-z0-9+/]+=*$", maxLength: 32_768 });

/** X25519, raw, base64: what is sealed to it, only the host that made it can open. */
export const SealingKeySchema = Type.String({ pattern: "^[A-Za-z0-9+/]{43}=$" });

/**
 * One value for one host: `from` is the public half of a key that was made for this box and forgotten. Both halves agree on a
 * key (X25519, HKDF-SHA-256) that ChaCha20-Poly1305 uses once; what it is and for whom (`sealedAbout`) is authenticated.
 */
export const SealedSchema = Type.Object(
  { from: SealingKeySchema, box: Type.String({ pattern: "^[A-Za-z0-9+/]+=*$", maxLength: 32_768 }) },
  strict,
);
export type Sealed = Static<typeof SealedSchema>;
export const SEALING = "berth secret 1";
export const sealedAbout = (host: string, key: string): string => JSON.stringify([SEALING, host, key]);

/** Unique in a cluster. */
export const secretKey = (project: string, name: string): string => `${project}/${name}`;

/** `POST /v1/projects/:project/secrets/:secret`. */
export const SecretRequestSchema = Type.Object(
  {
    // No pattern: what is wrong with a value is not to be shown.
    value: Type.String({ maxLength: 2 * MAX_SECRET_BYTES, description: "base64, of 1 byte to 16 KiB" }),
  },
  strict,
);
export type SecretRequest = Static<typeof SecretRequestSchema>;

/** A secret without its value. */
export const SecretViewSchema = Type.Object(
  {
    project: ProjectNameSchema,
    name: SecretNameSchema,
    /** Counts how often it was set. */
    version: Type.Integer({ minimum: 1 }),
    setBy: Type.String(),
    setAtMs: whole,
    /** Jobs that may still start a task with it. */
    usedBy: Type.Array(JobNameSchema),
  },
  strict,
);
export type SecretView = Static<typeof SecretViewSchema>;
export const SecretListSchema = Type.Object({ items: Type.Array(SecretViewSchema), revision: whole }, strict);
export type SecretList = Static<typeof SecretListSchema>;
export const SecretRemovedSchema = Type.Object(
  { project: ProjectNameSchema, name: SecretNameSchema, revision: whole },
  strict,
);
export type SecretRemoved = Static<typeof SecretRemovedSchema>;
