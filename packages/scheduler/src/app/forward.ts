/**
 * Changes that users ask a follower for. The leader does them; a follower passes them on, waits until its own fold has
 * caught up with the answer, and only then answers, so that whoever asked sees here what was done there.
 *
 * A request whose answer does not come is sent again, to whoever leads then. That never does it twice, and answers as the
 * first time: a submission carries an Idempotency-Key, the user's or one made here, and everything else a number, which the
 * log remembers.
 */
import { randomUUID } from "node:crypto";
import {
  Type,
  decoder,
  err,
  ok,
  OriginSchema,
  problem,
  type Origin,
  type Problem,
  type Reply,
  type Result,
} from "@berth/schema";
import type { PeerLine } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Api } from "./api.ts";
import type { Engine } from "./engine.ts";
import { pause } from "./pause.ts";

/** Everything of the API that changes the cluster. What it takes goes through JSON: null, never undefined. */
export const WRITES = [
  "submit",
  "startFromSnapshot",
  "beginRemoval",
  "endRemoval",
  "stop",
  "enrol",
  "cordon",
  "uncordon",
  "drain",
  "removeHost",
  "createJoinToken",
  "revokeJoinToken",
  "join",
  "createVolume",
  "copyVolume",
  "removeVolume",
  "createProject",
  "changeProject",
  "removeProject",
  "setSecret",
  "removeSecret",
  "nameImage",
  "createAccess",
  "revokeAccess",
  "note",
] as const;
type WriteName = (typeof WRITES)[number];
export type Writes = Pick<Api, WriteName>;

const PATIENCE_MS = 8_000;
const TRY_MS = 2_000;
const BETWEEN_MS = 150;
const CATCH_UP_MS = 2_000;
/** These waits are short and end by themselves. */
const NEVER = new AbortController().signal;
/** It may not have been done, and doing it again does no harm. */
const PASSING: readonly string[] = ["leader.unknown", "log.unavailable"];

const decodeRequest = decoder(
  Type.Object(
    { version: Type.Literal(1), op: Type.Enum([...WRITES]), args: Type.Array(Type.Unknown(), { maxItems: 8 }) },
    { additionalProperties: false },
  ),
);
const decodeOrigin = decoder(OriginSchema);
const decodeDone = decoder(
  Type.Object({ value: Type.Unknown(), revision: Type.Integer({ minimum: 0 }) }, { additionalProperties: false }),
);

export interface ForwardOptions {
  readonly engine: Engine;
  readonly peers: PeerLine;
  readonly clock: Clock;
  readonly local: Api;
}

/** Calls one write of this very instance, if it leads. */
const serveLocally = async (
  { engine, local }: ForwardOptions,
  request: unknown,
): Promise<Reply<unknown> | undefined> => {
  if (engine.role() !== "leading") return undefined;
  const decoded = decodeRequest(request);
  if (!decoded.ok)
    return { ok: false, problem: problem("message.invalid", "the request of the follower has another form") };
  const { op, args } = decoded.value;
  // Who asked is in every write's arguments, and goes into the log: it is looked at, the rest is decoded by the write.
  if (!args.some((argument) => decodeOrigin(argument).ok)) {
    return { ok: false, problem: problem("message.invalid", "the request of the follower does not say who asked") };
  }
  const write = local[op] as (...values: readonly unknown[]) => Promise<Result<unknown, Problem>>;
  const done = await write(...args);
  if (!done.ok) return { ok: false, problem: done.error };
  return { ok: true, value: { value: done.value, revision: engine.state.revision } };
};

export const createForwarding = (options: ForwardOptions): Api => {
  const { engine, peers, clock, local } = options;
  peers.serve((request) => serveLocally(options, request));

  const waiting = new Set<() => void>();
  engine.onLeader(() => {
    for (const stop of waiting) stop();
  });
  /** Whoever led when it was asked may be dead: its answer is waited for until somebody else leads. */
  const ask = (request: unknown): Promise<Reply<unknown> | undefined> =>
    new Promise((resolve) => {
      const settle = (reply?: Reply<unknown>): void => {
        waiting.delete(settle);
        resolve(reply);
      };
      waiting.add(settle);
      void peers.ask(request, TRY_MS).then(settle);
    });

  const caughtUp = async (revision: number): Promise<void> => {
    const until = clock.monotonicMs() + CATCH_UP_MS;
    while (engine.state.revision < revision && clock.monotonicMs() < until) await pause(clock, 10, NEVER);
  };

  const forward = async <T>(op: WriteName, args: readonly unknown[]): Promise<Result<T, Problem>> => {
    const until = clock.monotonicMs() + PATIENCE_MS;
    let asked = false;
    for (;;) {
      if (!engine.othersLead()) {
        const write = local[op] as (...values: readonly unknown[]) => Promise<Result<T, Problem>>;
        const done = await write(...args);
        // Nobody led while it waited; by now somebody else may.
        if (done.ok || !PASSING.includes(done.error.code) || !engine.othersLead()) return done;
      }
      asked = true;
      const reply = await ask({ version: 1, op, args });
      if (reply?.ok === true) {
        const done = decodeDone(reply.value);
        if (!done.ok)
          return err(problem("internal", "the leader's answer has another form; run one version everywhere"));
        await caughtUp(done.value.revision);
        // What the leader's same write returned: schedulers of one cluster run one version.
        return ok(done.value.value as T);
      }
      if (reply !== undefined && !PASSING.includes(reply.problem.code)) return err(reply.problem as Problem);
      if (clock.monotonicMs() >= until) break;
      await pause(clock, BETWEEN_MS, NEVER);
    }
    const detail = asked
      ? "the leader did not answer; it is not known whether the change was written: look, or send it again with the same Idempotency-Key"
      : "no scheduler leads now; try again soon";
    return err(problem("leader.unknown", detail, { retryAfterMs: 1_000 }));
  };

  /** The answer of a write is lost with whoever gave it; by its number the next leader knows that it was done. */
  const numbered = (args: readonly unknown[]): readonly unknown[] => {
    const request = randomUUID();
    return args.map((argument) => (decodeOrigin(argument).ok ? { request, ...(argument as Origin) } : argument));
  };

  const writes = Object.fromEntries(
    WRITES.map((op) => [op, (...args: readonly unknown[]) => forward(op, numbered(args))]),
    // Each takes what the write of its name takes, and passes all of it on.
  ) as unknown as Writes;

  return {
    ...local,
    ...writes,
    submit: (document, origin, key) => writes.submit(document, origin, key ?? `forwarded-${randomUUID()}`),
    startFromSnapshot: (id, clone, origin, key) =>
      writes.startFromSnapshot(id, clone, origin, key ?? `forwarded-${randomUUID()}`),
  };
};
