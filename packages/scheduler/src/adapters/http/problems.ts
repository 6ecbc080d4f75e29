/** Whatever goes wrong leaves as application/problem+json (RFC 9457): one place turns errors into problems. */
import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { problem, Routes, type FieldError, type Problem, type Result } from "@berth/schema";

/** A refusal on its way through the framework. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly problem: Problem;
  constructor(refused: Problem) {
    super(refused.detail ?? refused.title);
    this.problem = refused;
  }
}

/** Thrown by the validators: a part of the request does not fit its schema. */
export class InvalidPart extends Error {
  override readonly name = "InvalidPart";
  readonly statusCode = 400;
  readonly part: string;
  readonly fields: readonly FieldError[];
  constructor(part: string, fields: readonly FieldError[]) {
    super("the request does not have the expected form");
    this.part = part;
    this.fields = fields;
  }
}

/** The value, or the problem thrown to the error handler. */
export const orRefuse = <T>(result: Result<T, Problem>): T => {
  if (result.ok) return result.value;
  throw new Refusal(result.error);
};

export const sendProblem = (reply: FastifyReply, refused: Problem): FastifyReply => {
  if (refused.retryAfterMs !== undefined) void reply.header("retry-after", Math.ceil(refused.retryAfterMs / 1_000));
  if (refused.code === "auth.required") void reply.header("www-authenticate", 'Bearer realm="berth"');
  return reply
    .code(refused.status)
    .header("cache-control", "no-store")
    .type("application/problem+json; charset=utf-8")
    .send(JSON.stringify(refused));
};

const PART_NAMES: Readonly<Record<string, string>> = {
  body: "body",
  querystring: "query",
  params: "path",
  headers: "headers",
};

const fromFramework = (error: FastifyError, request: FastifyRequest): Problem | undefined => {
  switch (error.code) {
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
    case "FST_ERR_CTP_EMPTY_TYPE":
      return problem("request.media_type", "send the body as application/json");
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return problem("request.too_large", "the body is larger than 1 MiB; put large data into a volume");
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return problem("request.malformed", "the body is not as long as its Content-Length says");
    case "FST_ERR_BAD_URL":
      return problem("request.malformed", `the address ${request.url.slice(0, 256)} is not well-formed`);
    default:
      return undefined;
  }
};

export const problemOf = (error: FastifyError, request: FastifyRequest): Problem => {
  if (error instanceof Refusal) return error.problem;
  if (error instanceof InvalidPart) {
    const first = error.fields[0];
    const where = PART_NAMES[error.part] ?? error.part;
    const rest = error.fields.length > 1 ? ` (and ${error.fields.length - 1} more)` : "";
    const detail =
      first === undefined ? `the ${where} is not valid` : `${where}${first.pointer}: ${first.message}${rest}`;
    return problem("request.invalid", detail, { errors: error.fields });
  }
  const known = fromFramework(error, request);
  if (known !== undefined) return known;
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return problem("request.malformed", error.message);
  }
  const instance = `urn:uuid:${randomUUID()}`;
  request.log.error({ err: error, instance }, "request_failed");
  return problem("internal", `it is in the scheduler's log under ${instance}`, { instance });
};

export const notFound = (request: FastifyRequest): Problem =>
  problem("route.not_found", `there is no ${request.method} ${request.url.slice(0, 256)}; see ${Routes.openapi}`);

/** The bytes of a request that is not HTTP at all never reach a route: the answer is written by hand. */
export const answerBrokenRequest = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const refused =
    error.code === "HPE_HEADER_OVERFLOW"
      ? problem("request.too_large", "the header is larger than 16 KiB")
      : problem("request.malformed", "this is not a well-formed HTTP request");
  const body = JSON.stringify(refused);
  socket.end(
    `HTTP/1.1 ${refused.status} ${refused.status === 413 ? "Payload Too Large" : "Bad Request"}\r\n` +
      `Content-Type: application/problem+json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
};
