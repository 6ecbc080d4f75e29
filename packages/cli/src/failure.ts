/**
 * What a verb could not do: one shape for every error that ends a command. It is thrown, against the habit of this code
 * base, because all of them have the same single reader: the top of the program, which prints it and exits with its code.
 */
import { isProblemCode, Problems, type FieldError, type Problem, type ProblemCode } from "@berth/schema";

/** Exit statuses that no problem code stands for. All of them: docs/reference/exit-codes.md. */
export const Exit = {
  ok: 0,
  failed: 1,
  blocked: 2,
  usage: 64,
  data: 65,
  notFound: 66,
  unavailable: 69,
  bug: 70,
  retry: 75,
  forbidden: 77,
  timedOut: 124,
  interrupted: 130,
  readerGone: 141,
} as const;

/** A line of a document that is meant by an error. Line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly source: string;
  readonly message: string;
}

export class Failure extends Error {
  readonly exit: number;
  readonly code: ProblemCode | undefined;
  readonly detail: string | undefined;
  readonly places: readonly Place[];
  readonly fields: readonly FieldError[];
  /** What to try next, each a command or a sentence. */
  readonly next: readonly string[];
  readonly retryAfterMs: number | undefined;

  constructor(
    title: string,
    more: {
      readonly exit: number;
      readonly code?: ProblemCode | undefined;
      readonly detail?: string | undefined;
      readonly places?: readonly Place[];
      readonly fields?: readonly FieldError[];
      readonly next?: readonly string[];
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(title, { cause: more.cause });
    this.name = "Failure";
    this.exit = more.exit;
    this.code = more.code;
    this.detail = more.detail;
    this.places = more.places ?? [];
    this.fields = more.fields ?? [];
    this.next = more.next ?? [];
    this.retryAfterMs = more.retryAfterMs;
  }

  /** The same failure with another hint or with places in the user's document. */
  with(more: {
    readonly next?: readonly string[];
    readonly places?: readonly Place[];
    readonly fields?: readonly FieldError[];
  }): Failure {
    return new Failure(this.message, {
      exit: this.exit,
      code: this.code,
      detail: this.detail,
      places: more.places ?? this.places,
      fields: more.fields ?? this.fields,
      next: more.next ?? this.next,
      retryAfterMs: this.retryAfterMs,
      cause: this.cause,
    });
  }
}

/** What usually helps, by code. A verb that knows better says so. */
const NEXT: Partial<Record<ProblemCode, readonly string[]>> = {
  "auth.required": ["run it as the user who started `berth up`, or pass --token-file FILE or BERTH_TOKEN"],
  "auth.forbidden": ["berth access self     (what your token may)", "--token-file FILE or BERTH_TOKEN for another one"],
  "access.not_found": ["berth access ls"],
  "access.exists": ["berth access ls"],
  "route.not_found": ["berth version     (this program and the scheduler may be of different versions)"],
  "events.gone": ["berth events --tail 100"],
  "job.not_found": ["berth jobs"],
  "job.active": ["berth stop JOB"],
  "job.too_many": ["berth jobs        (stop what is no longer needed, then try again)"],
  "task.not_found": ["berth ps --all"],
  "host.not_found": ["berth hosts"],
  "join.refused": ["a new line of: berth token create"],
  "join.closed": ["berth up --listen ADDRESS     (this machine's address for the others)"],
  "join_token.not_found": ["berth token ls"],
  "host.unknown": ["berth hosts"],
  "allocation.not_found": ["berth ps --all"],
  "allocation.no_logs": ["berth why TASK"],
  "agent.unreachable": ["berth hosts"],
  "log.unavailable": ["the same command again in a few seconds"],
  "leader.unknown": ["the same command again in a few seconds"],
  "cluster.unreachable": [
    "berth up          (starts a cluster on this machine)",
    "berth doctor      (says what is missing)",
  ],
  internal: ["the logs in the data directory's logs/ say more; berth doctor checks this machine"],
};

/** A problem of the API as a failure. Codes of a newer scheduler are kept as text; the status decides their exit. */
export const failureOf = (problem: Problem): Failure => {
  const known = isProblemCode(problem.code) ? problem.code : undefined;
  const exit = known === undefined ? (problem.status >= 500 ? Exit.bug : Exit.failed) : Problems[known].exit;
  return new Failure(problem.title, {
    exit,
    code: known,
    detail: problem.detail,
    fields: problem.errors ?? [],
    next: known === undefined ? [] : (NEXT[known] ?? []),
    retryAfterMs: problem.retryAfterMs,
  });
};
