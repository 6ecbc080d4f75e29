import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { HostId } from "./ids.ts";
import { agentPermissions, Buckets, hostOfSubject, Streams, Subjects } from "./subjects.ts";

const host = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/).map((text) => text as HostId);

/** NATS wildcards: `*` is one token, `>` one or more at the end. */
const covers = (pattern: string, subject: string): boolean => {
  const parts = pattern.split(".");
  const tokens = subject.split(".");
  return (
    parts.every((part, at) =>
      part === ">"
        ? at === parts.length - 1 && tokens.length > at
        : part === "*"
          ? at < tokens.length
          : part === tokens[at],
    ) &&
    (parts.at(-1) === ">" || parts.length === tokens.length)
  );
};

describe("what an agent may do", () => {
  test("is enough to speak for itself", () => {
    fc.assert(
      fc.property(host, (me) => {
        const { publish, subscribe } = agentPermissions(me);
        for (const subject of [Subjects.heartbeat(me), Subjects.hello(me), Subjects.report(me), Subjects.sync(me)]) {
          expect(publish.some((pattern) => covers(pattern, subject))).toBe(true);
          expect(hostOfSubject(subject)).toBe(me);
        }
        for (const subject of [Subjects.desired(me), Subjects.rpc(me), `${Subjects.inboxPrefix(me)}.x.1`]) {
          expect(subscribe.some((pattern) => covers(pattern, subject))).toBe(true);
        }
      }),
    );
  });

  test("is nothing of another host, of the log, of a bucket, of the leader or of JetStream", () => {
    fc.assert(
      fc.property(host, host, (me, other) => {
        fc.pre(me !== other);
        const { publish, subscribe } = agentPermissions(me);
        const foreign = [
          Subjects.heartbeat(other),
          Subjects.hello(other),
          Subjects.report(other),
          Subjects.sync(other),
          Subjects.desired(other),
          Subjects.rpc(other),
          `${Subjects.inboxPrefix(other)}.x.1`,
          Streams.log.subject,
          Subjects.leader,
          "$JS.API.INFO",
          `$KV.${Buckets.desired.name}.${other}`,
        ];
        for (const subject of foreign) {
          expect([...publish, ...subscribe].filter((pattern) => covers(pattern, subject))).toEqual([]);
        }
      }),
    );
  });
});

test("a subject without a host names none", () => {
  for (const subject of ["", "log", "hb.", "hb.*", "api.A.hello", "$JS.API"]) {
    expect(hostOfSubject(subject)).toBeUndefined();
  }
});
