/** What the client's and the server's errors mean: strings and codes become words at this one place. */
import { NatsError } from "nats";

/** JetStream error codes (nats-server, server/errors.json). */
const WRONG_LAST_SEQUENCE = 10071;
const STREAM_NOT_FOUND = 10059;
const NOTHING_STORED = new Set([
  10023, // insufficient resources
  10028, // account has no JetStream resources left
  10047, // insufficient storage resources
  10054, // message larger than the stream takes
  10077, // stream store failed
  10122, // stream is at its limits
]);

export const apiCode = (error: unknown): number | undefined =>
  error instanceof NatsError ? (error.api_error?.err_code ?? undefined) : undefined;

export const isStreamNotFound = (error: unknown): boolean => apiCode(error) === STREAM_NOT_FOUND;
export const isWrongLastSequence = (error: unknown): boolean => apiCode(error) === WRONG_LAST_SEQUENCE;
/** The server answered and says that it has not stored the message. */
export const isNotStored = (error: unknown): boolean => {
  const code = apiCode(error);
  return (
    (code !== undefined && NOTHING_STORED.has(code)) ||
    (error instanceof NatsError && error.code === "MAX_PAYLOAD_EXCEEDED")
  );
};

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
