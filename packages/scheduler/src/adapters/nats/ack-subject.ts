/**
 * Where a message of a stream stands: JetStream says so in its reply subject (ADR-15).
 *   $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>
 *   $JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>[.<random>]
 */
export interface Delivery {
  readonly streamSequence: number;
  readonly consumerSequence: number;
}

export const parseAckSubject = (subject: string): Delivery | undefined => {
  const tokens = subject.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || tokens.length < 9) return undefined;
  const skip = tokens.length > 9 ? 2 : 0;
  const streamSequence = Number(tokens[5 + skip]);
  const consumerSequence = Number(tokens[6 + skip]);
  if (!Number.isSafeInteger(streamSequence) || !Number.isSafeInteger(consumerSequence)) return undefined;
  return { streamSequence, consumerSequence };
};
