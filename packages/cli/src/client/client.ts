/**
 * The API as verbs use it: typed answers, problems as failures, short outages bridged. What the cluster could not take just
 * now is sent again for a bounded time: each request has an Idempotency-Key, by which it is done once.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { decoder, problem, ProblemSchema, type Decoder, type FieldError, type Problem } from "@berth/schema";
import { Failure, failureOf } from "../failure.ts";
import type { Connection } from "./connection.ts";
import { send, unreachable, type HttpAnswer } from "./http.ts";

/** No document of the API comes near this; a larger answer is not from Berth. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** A new leader takes a few seconds; a person waits this long without being told. */
const PATIENCE_MS = 10_000;
const RETRY_FIRST_MS = 200;
const RETRY_LONGEST_MS = 2_000;

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface Answer<T> {
  readonly value: T;
  /** The log's sequence that the answer reflects, when the server says it. */
  readonly revision: number | undefined;
}

export interface CallOptions {
  readonly query?: Query;
  readonly signal?: AbortSignal;
  /** The server may take this long before it answers (`?wait=`). */
  readonly waitMs?: number;
  /** How long a request is tried again that the cluster could not take just now. */
  readonly patienceMs?: number;
  /** Also when nothing answers at all: for verbs that are under way, not for the first request of one. */
  readonly bridge?: boolean;
  /** Told once when patience begins to be needed. */
  readonly onOutage?: (failure: Failure) => void;
}

export interface Client {
  readonly connection: Connection;
  readonly get: <T>(decode: Decoder<T>, path: string, options?: CallOptions) => Promise<Answer<T>>;
  readonly post: <T>(decode: Decoder<T>, path: string, body: unknown, options?: CallOptions) => Promise<Answer<T>>;
  /** Bytes that may be sent again. */
  readonly send: <T>(decode: Decoder<T>, path: string, bytes: Uint8Array, options?: CallOptions) => Promise<Answer<T>>;
  /** The raw bytes of an answer, as they come. */
  readonly stream: (path: string, options?: CallOptions) => Promise<HttpAnswer["body"]>;
}

const decodeProblem = decoder(ProblemSchema);

export const createClient = (connection: Connection): Client => {
  const call = async (
    method: "GET" | "POST",
    path: string,
    options: CallOptions & {
      readonly body?: unknown;
      readonly bytes?: Uint8Array;
      readonly headers?: Readonly<Record<string, string>>;
    },
  ): Promise<HttpAnswer> => {
    const answer = await send(connection, {
      method,
      path: path + queryText(options.query),
      timeoutMs: TIMEOUT_MS + (options.waitMs ?? 0),
      signal: options.signal,
      ...(options.body === undefined ? {} : { body: options.body }),
      ...(options.bytes === undefined ? {} : { bytes: options.bytes }),
      ...(options.headers === undefined ? {} : { headers: options.headers }),
    });
    if (answer.status < 200 || answer.status > 299) throw await failureOfAnswer(connection, answer);
    return answer;
  };

  const typed = async <T>(decode: Decoder<T>, answer: HttpAnswer): Promise<Answer<T>> => {
    const value = decodeTolerantly(decode, await readJson(connection, answer));
    if (value === undefined) throw notBerth(connection, "its answer has an unexpected form");
    const etag = /^(?:W\/)?"(\d+)"$/.exec(answer.headers.etag ?? "")?.[1];
    return { value, revision: etag === undefined ? undefined : Number(etag) };
  };

  return {
    connection,
    get: (decode, path, options = {}) =>
      withPatience(options, async () => typed(decode, await call("GET", path, options))),
    post: (decode, path, body, options = {}) => {
      // One request, however often it is sent.
      const headers = { "idempotency-key": randomUUID() };
      return withPatience(options, async () => typed(decode, await call("POST", path, { ...options, body, headers })));
    },
    send: (decode, path, bytes, options = {}) =>
      withPatience(options, async () => typed(decode, await call("POST", path, { ...options, bytes }))),
    stream: (path, options = {}) => withPatience(options, async () => (await call("GET", path, options)).body),
  };
};

/** Tries again while the failure is one that passes, until patience ends; then the last failure stands. */
const withPatience = async <T>(options: CallOptions, attempt: () => Promise<T>): Promise<T> => {
  const until = performance.now() + (options.patienceMs ?? PATIENCE_MS);
  let wait = RETRY_FIRST_MS;
  for (let first = true; ; first = false) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Failure) || !isPassing(error, options.bridge === true)) throw error;
      const pause = Math.max(wait, Math.min(error.retryAfterMs ?? 0, RETRY_LONGEST_MS));
      if (performance.now() + pause > until) throw error;
      if (first) options.onOutage?.(error);
      await sleep(pause, undefined, options.signal === undefined ? {} : { signal: options.signal });
      wait = Math.min(wait * 2, RETRY_LONGEST_MS);
    }
  }
};

const isPassing = (error: Failure, bridge: boolean): boolean => {
  switch (error.code) {
    case "leader.unknown":
    case "log.unavailable":
      return true;
    case "cluster.unreachable":
    case "agent.unreachable":
    case "host.unknown":
      return bridge;
    default:
      return false;
  }
};

const queryText = (query: Query | undefined): string => {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) if (value !== undefined) params.set(key, String(value));
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
};

const readJson = async (connection: Connection, answer: HttpAnswer): Promise<unknown> => {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of answer.body) {
      size += (part as Buffer).length;
      if (size > MAX_ANSWER_BYTES) break;
      parts.push(part as Buffer);
    }
  } catch (error) {
    throw unreachable(connection, error as Error);
  }
  if (size > MAX_ANSWER_BYTES) throw notBerth(connection, "its answer is too large");
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8")) as unknown;
  } catch {
    throw notBerth(connection, `it answered ${answer.status} with something that is not JSON`);
  }
};

/** Keys that are not known come from a newer scheduler and are kept: the API only ever grows. */
export const decodeTolerantly = <T>(decode: Decoder<T>, value: unknown): T | undefined => {
  const decoded = decode(value);
  if (decoded.ok) return decoded.value;
  const unknownKey = (error: FieldError): boolean => error.message.startsWith("unknown key");
  return decoded.error.length > 0 && decoded.error.every(unknownKey) ? (value as T) : undefined;
};

const failureOfAnswer = async (connection: Connection, answer: HttpAnswer): Promise<Failure> => {
  const decoded = decodeProblem(await readJson(connection, answer));
  if (!decoded.ok) return notBerth(connection, `it answered ${answer.status} without saying why`);
  return failureOf(decoded.value as Problem);
};

const notBerth = (connection: Connection, why: string): Failure =>
  failureOf(problem("cluster.unreachable", `${connection.api.origin} does not answer like Berth: ${why}`)).with({
    next: [
      "check --api and BERTH_API",
      "berth version     (this program and the scheduler may be of different versions)",
    ],
  });
