/**
 * How a machine becomes a host: a token that an operator makes (single use, short-lived), the line that carries it to the
 * machine, what the machine sends and what it gets back. The log only ever holds a token's SHA-256.
 */
import Type, { type Static } from "#typebox";
import { PublicKeySchema } from "./agent.ts";
import { HostIdSchema } from "./ids.ts";
import { err, ok, type Result } from "./result.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });
const TOKEN = "^[a-z0-9]{10}\\.[A-Za-z0-9_-]{43}$";
const FINGERPRINT = "^[0-9a-f]{64}$";

export const JoinTokenIdSchema = Type.String({ pattern: "^[a-z0-9]{10}$" });
/** SHA-256 of the token's secret part, in hex. */
export const JoinDigestSchema = Type.String({ pattern: FINGERPRINT });

/** `POST /v1/join-tokens`. Without `host` the machine says what it wants to be called. */
export const JoinTokenRequestSchema = Type.Object(
  {
    host: Type.Optional(HostIdSchema),
    ttl: Type.Optional(
      Type.String({ maxLength: 32, description: "how long it can be used: 10m; default 10m, at most 7d" }),
    ),
  },
  strict,
);
export type JoinTokenRequest = Static<typeof JoinTokenRequestSchema>;

/** The only time that the token is shown: in `line`, which `berth join` takes. */
export const JoinTokenMadeSchema = Type.Object(
  { id: JoinTokenIdSchema, line: Type.String(), host: Type.Union([HostIdSchema, Type.Null()]), expiresAtMs: whole },
  strict,
);
export type JoinTokenMade = Static<typeof JoinTokenMadeSchema>;

export const JOIN_TOKEN_STATES = ["open", "used", "expired"] as const;
export const JoinTokenViewSchema = Type.Object(
  {
    id: JoinTokenIdSchema,
    state: Type.Enum([...JOIN_TOKEN_STATES]),
    /** The only name it may be used for. */
    host: Type.Union([HostIdSchema, Type.Null()]),
    usedBy: Type.Union([HostIdSchema, Type.Null()]),
    createdBy: Type.String(),
    createdAtMs: whole,
    expiresAtMs: whole,
  },
  strict,
);
export type JoinTokenView = Static<typeof JoinTokenViewSchema>;
export const JoinTokenListSchema = Type.Object({ items: Type.Array(JoinTokenViewSchema) }, strict);
export type JoinTokenList = Static<typeof JoinTokenListSchema>;
export const JoinTokenRevokedSchema = Type.Object({ id: JoinTokenIdSchema, revision: whole }, strict);
export type JoinTokenRevoked = Static<typeof JoinTokenRevokedSchema>;

/** `POST /v1/join`, by the machine itself; the token is its only right. The seed of `publicKey` never leaves the machine. */
export const JoinRequestSchema = Type.Object(
  { token: Type.String({ pattern: TOKEN }), host: HostIdSchema, publicKey: PublicKeySchema },
  strict,
);
export type JoinRequest = Static<typeof JoinRequestSchema>;

/** What a new host needs: where the bus is, whom it may believe (SPKI, PEM), and who signs the bus's certificate (PEM; null: the bus is plain). */
export const JoinedSchema = Type.Object(
  {
    id: HostIdSchema,
    cluster: Type.String(),
    natsUrls: Type.Array(Type.String()),
    natsCa: Type.Union([Type.String(), Type.Null()]),
    clusterKey: Type.String(),
    revision: whole,
  },
  strict,
);
export type Joined = Static<typeof JoinedSchema>;

/** What `berth join` is given: where to ask, whom to believe there, and with what right. */
export interface JoinLine {
  /** `https://` addresses of the API, tried in this order. */
  readonly urls: readonly string[];
  /** SHA-256 of the certificate (DER) of the authority that signs the API's certificate, in hex. */
  readonly fingerprint: string;
  readonly token: string;
}

const PREFIX = "berth1.";
const MAX_LINE = 4_096;

/** One word without characters that a shell or a mail program would touch. */
export const formatJoinLine = ({ urls, fingerprint, token }: JoinLine): string =>
  PREFIX +
  btoa(JSON.stringify([urls, fingerprint, token]))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const isHttps = (url: unknown): url is string => {
  if (typeof url !== "string" || !URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  return protocol === "https:" && username === "" && password === "";
};

export const parseJoinLine = (text: string): Result<JoinLine, string> => {
  const broken = err(
    "it is not a join line, or not all of it: copy the whole word that `berth token create` printed, from berth1. to its end",
  );
  const line = text.trim();
  if (!line.startsWith(PREFIX) || line.length > MAX_LINE) return broken;
  let value: unknown;
  try {
    value = JSON.parse(atob(line.slice(PREFIX.length).replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return broken;
  }
  if (!Array.isArray(value) || value.length !== 3) return broken;
  const [urls, fingerprint, token] = value as readonly unknown[];
  if (!Array.isArray(urls) || urls.length === 0 || urls.length > 16 || !urls.every(isHttps)) return broken;
  if (typeof fingerprint !== "string" || !new RegExp(FINGERPRINT).test(fingerprint)) return broken;
  if (typeof token !== "string" || !new RegExp(TOKEN).test(token)) return broken;
  return ok({ urls, fingerprint, token });
};
