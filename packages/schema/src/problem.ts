/**
 * Every error that a user, a program or an agent can meet: RFC 9457 problem details with a stable `code`.
 * The same document travels over HTTP, WebSocket and NATS. Codes are API: add, never rename.
 * `exit` is the exit status of the CLI for it (see docs/reference/exit-codes.md).
 */
import Type, { type Static } from "#typebox";

interface Entry {
  readonly status: number;
  readonly title: string;
  readonly exit: number;
  readonly retryable?: boolean;
}

const defineProblems = <const T extends Readonly<Record<string, Entry>>>(entries: T): T => entries;

export const Problems = defineProblems({
  "request.malformed": { status: 400, title: "The request cannot be read", exit: 65 },
  "request.invalid": { status: 400, title: "The request does not have the expected form", exit: 65 },
  "request.too_large": { status: 413, title: "The request is too large", exit: 65 },
  "request.media_type": { status: 415, title: "The content type is not supported", exit: 65 },
  "events.gone": { status: 410, title: "The log does not go back so far any more", exit: 66 },
  "request.too_many": { status: 429, title: "Too many requests at a time", exit: 75, retryable: true },
  "auth.required": { status: 401, title: "A token is required", exit: 77 },
  "auth.forbidden": { status: 403, title: "This is not permitted", exit: 77 },
  "access.not_found": { status: 404, title: "No such access token", exit: 66 },
  "access.exists": { status: 409, title: "There is an access token of this name", exit: 65 },
  "route.not_found": { status: 404, title: "No such address", exit: 66 },
  "job.document_malformed": { status: 400, title: "The job document is not valid YAML or JSON", exit: 65 },
  "job.spec_invalid": { status: 422, title: "The job document is not valid", exit: 65 },
  "job.not_found": { status: 404, title: "No such job", exit: 66 },
  "job.active": { status: 409, title: "The job is still running", exit: 75 },
  "job.too_many": {
    status: 429,
    title: "The cluster holds as many jobs or tasks as it may",
    exit: 75,
    retryable: true,
  },
  "job.exceeds_quota": { status: 422, title: "The job can never fit the quota of its project", exit: 65 },
  "task.not_found": { status: 404, title: "No such task", exit: 66 },
  "host.not_found": { status: 404, title: "No such host", exit: 66 },
  "host.in_use": { status: 409, title: "The host still runs something", exit: 75 },
  "host.key_differs": { status: 409, title: "The host is known with another key", exit: 77 },
  "join.refused": { status: 403, title: "This machine may not join", exit: 77 },
  "join.closed": { status: 409, title: "The cluster does not listen for other machines", exit: 69 },
  "join_token.not_found": { status: 404, title: "No such join token", exit: 66 },
  "host.unknown": { status: 404, title: "This host has not registered", exit: 66, retryable: true },
  "allocation.not_found": { status: 404, title: "No such allocation", exit: 66 },
  "allocation.no_logs": { status: 404, title: "This allocation has no such file", exit: 66 },
  "image.not_found": { status: 404, title: "No such image", exit: 66 },
  "image.failed": { status: 422, title: "The image could not be taken or given", exit: 65 },
  "project.not_found": { status: 404, title: "No such project", exit: 66 },
  "project.exists": { status: 409, title: "There is such a project already", exit: 65 },
  "project.in_use": { status: 409, title: "The project is in use", exit: 75 },
  "secret.not_found": { status: 404, title: "No such secret", exit: 66 },
  "secret.in_use": { status: 409, title: "The secret is in use", exit: 75 },
  "volume.not_found": { status: 404, title: "No such volume", exit: 66 },
  "volume.exists": { status: 409, title: "There is such a volume already", exit: 65 },
  "volume.in_use": { status: 409, title: "The volume is in use", exit: 75 },
  "volume.no_room": { status: 409, title: "No host has room for the volume", exit: 75 },
  "volume.failed": { status: 422, title: "The volume could not be changed", exit: 65 },
  "operation.not_found": { status: 404, title: "No such operation", exit: 66 },
  "allocation.not_running": { status: 409, title: "The allocation does not run", exit: 75 },
  "allocation.not_kept": { status: 404, title: "What the container wrote is not kept", exit: 66 },
  "allocation.refused": { status: 422, title: "What the allocation wrote cannot be read", exit: 65 },
  "allocation.paused": { status: 409, title: "The allocation is paused", exit: 75 },
  "allocation.running": { status: 409, title: "The allocation runs", exit: 75 },
  "snapshot.exists": { status: 409, title: "There is such a snapshot already", exit: 65 },
  "snapshot.not_found": { status: 404, title: "No such snapshot", exit: 66 },
  "snapshot.in_use": { status: 409, title: "The snapshot is in use", exit: 75 },
  "job.exists": { status: 409, title: "There is such a job already", exit: 65 },
  "allocation.not_paused": { status: 409, title: "The allocation cannot be paused or resumed", exit: 75 },
  "agent.unreachable": { status: 503, title: "The host does not answer", exit: 69, retryable: true },
  "idempotency.reused": { status: 422, title: "The Idempotency-Key was used for another request", exit: 65 },
  "message.invalid": { status: 400, title: "The message does not have the expected form", exit: 65 },
  "message.stale": { status: 409, title: "The message is older than what is known", exit: 75 },
  "log.unavailable": { status: 503, title: "The log cannot be written now", exit: 75, retryable: true },
  "log.full": { status: 507, title: "There is no room for more", exit: 75, retryable: true },
  "leader.unknown": { status: 503, title: "No scheduler leads now", exit: 75, retryable: true },
  "cluster.unreachable": { status: 503, title: "The cluster does not answer", exit: 69, retryable: true },
  internal: { status: 500, title: "Something went wrong inside Berth", exit: 70 },
});

export type ProblemCode = keyof typeof Problems;

export const FieldErrorSchema = Type.Object(
  { pointer: Type.String(), message: Type.String() },
  { additionalProperties: false },
);
/** One wrong place in a document: a JSON pointer (RFC 6901) and a sentence. */
export type FieldError = Static<typeof FieldErrorSchema>;

export const ProblemSchema = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String(),
  detail: Type.Optional(Type.String()),
  instance: Type.Optional(Type.String()),
  errors: Type.Optional(Type.Array(FieldErrorSchema)),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 0 })),
  /** events.gone: the oldest sequence that can still be had. */
  oldestSequence: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type Problem = Static<typeof ProblemSchema> & { readonly code: ProblemCode };

/** Builds a problem from its code. `detail` says what was wrong, where, and what to do next. */
export const problem = (
  code: ProblemCode,
  detail: string,
  more: {
    readonly errors?: readonly FieldError[];
    readonly instance?: string;
    readonly retryAfterMs?: number;
    readonly oldestSequence?: number;
  } = {},
): Problem => ({
  type: `https://berth.invalid/problems/${code}`,
  title: Problems[code].title,
  status: Problems[code].status,
  code,
  detail,
  ...(more.errors === undefined ? {} : { errors: [...more.errors] }),
  ...(more.instance === undefined ? {} : { instance: more.instance }),
  ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
  ...(more.oldestSequence === undefined ? {} : { oldestSequence: more.oldestSequence }),
});

export const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(Problems, code);
