/**
 * One HTTP request. node:http rather than fetch, because following a silent container for hours must not run into
 * fetch's fixed pause limit. No connection is kept: a verb ends when its work ends.
 */
import { request as requestHttp, type IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { problem } from "@berth/schema";
import { failureOf, type Failure } from "../failure.ts";
import type { Connection } from "./connection.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  /** Instead: bytes as they are. */
  readonly bytes?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** Longest wait for the head of the answer. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: IncomingMessage;
}

/** Rejects with `cluster.unreachable` when there is no answer, and with the signal's reason when it is aborted. */
export const send = (connection: Connection, request: HttpRequest): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    const url = new URL(request.path, connection.api);
    const payload = request.bytes ?? (request.body === undefined ? undefined : JSON.stringify(request.body));
    const type = request.bytes === undefined ? "application/json" : "application/octet-stream";
    const start = url.protocol === "https:" ? requestHttps : requestHttp;
    const outgoing = start(url, {
      method: request.method,
      agent: false,
      ...(connection.ca === undefined ? {} : { ca: connection.ca }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
      headers: {
        accept: "application/json, application/problem+json, text/plain",
        // A machine that joins has none: what it sends is its right.
        ...(connection.token === "" ? {} : { authorization: `Bearer ${connection.token}` }),
        ...(payload === undefined
          ? {}
          : { "content-type": type, "content-length": String(Buffer.byteLength(payload)) }),
        ...request.headers,
      },
    });
    const timer = setTimeout(() => {
      outgoing.destroy(new Error(`no answer within ${Math.round(request.timeoutMs / 1000)}s`));
    }, request.timeoutMs);
    outgoing.on("error", (error) => {
      clearTimeout(timer);
      reject(request.signal?.aborted === true ? (request.signal.reason as Error) : unreachable(connection, error));
    });
    outgoing.on("response", (incoming) => {
      clearTimeout(timer);
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: incoming });
    });
    outgoing.end(payload);
  });

export const unreachable = (connection: Pick<Connection, "api">, error: Error): Failure => {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const why: Readonly<Record<string, string>> = {
    ECONNREFUSED: "nothing listens there",
    ECONNRESET: "it closed the connection",
    EHOSTUNREACH: "there is no way to that machine",
    ENOTFOUND: "its name is not known",
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is of an unknown authority; name it with --ca-file",
    SELF_SIGNED_CERT_IN_CHAIN: "its certificate is of an unknown authority; name it with --ca-file",
    CERT_HAS_EXPIRED: "its certificate has ended; is the clock of this machine right?",
    CERT_NOT_YET_VALID: "its certificate is not valid yet; is the clock of this machine right?",
  };
  const sentence = why[code] ?? (error.message === "" ? code : error.message);
  return failureOf(problem("cluster.unreachable", `${connection.api.origin}: ${sentence}`));
};
