import { expect, test } from "vitest";
import { parseAckSubject } from "./ack-subject.ts";

test.each([
  ["$JS.ACK.LOG.c1.1.42.7.1700000000000000000.3", { streamSequence: 42, consumerSequence: 7 }],
  ["$JS.ACK.hub.ACCHASH.LOG.c1.1.42.7.1700000000000000000.3", { streamSequence: 42, consumerSequence: 7 }],
  ["$JS.ACK.hub.ACCHASH.LOG.c1.1.42.7.1700000000000000000.3.rnd", { streamSequence: 42, consumerSequence: 7 }],
  ["$JS.ACK.LOG.c1", undefined],
  ["$JS.ACK.LOG.c1.1.x.7.1.3", undefined],
  ["_INBOX.abc", undefined],
  ["", undefined],
])("%s", (subject, delivery) => {
  expect(parseAckSubject(subject)).toEqual(delivery);
});
