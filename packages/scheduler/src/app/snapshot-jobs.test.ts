/** What is decided when its turn comes may differ from what was seen before: both are asked. */
import { expect, test } from "vitest";
import {
  ok,
  parseJobDocument,
  type JobView,
  type LogRecord,
  type Origin,
  type Problem,
  type SnapshotId,
} from "@berth/schema";
import { createState, fold, type ClusterState } from "../core/index.ts";
import { manualClock } from "../testing/manual-clock.ts";
import type { Engine } from "./engine.ts";
import { createSnapshotJobs } from "./snapshot-jobs.ts";
import { createSnapshotRemovals } from "./snapshot-removals.ts";

const origin = { who: "me", via: "token", from: "127.0.0.1" } as Origin;
const id = { project: "default", job: "web", index: 0, name: "one" } as SnapshotId;
const IMAGE = "oci://local/default/snapshots/web:0.one";
const stateWith = (more: object): ClusterState => {
  const web = { name: "web", kind: "service", image: "builtin://busybox", command: ["sleep", "9"] };
  const spec = parseJobDocument({ ...web, ...more });
  if (!spec.ok) throw new Error(JSON.stringify(spec.error));
  const state = createState();
  const by = { by: "me", idempotencyKey: null, requestDigest: "x" };
  const records: LogRecord[] = [{ kind: "job_submitted", spec: spec.value, jobVersion: 1, ...by }];
  fold(state, 1, { version: 2, epoch: 1, atMs: 1, cause: "test", origin: null, records });
  return state;
};

/** Decides on `later`, while everybody else still sees `now`. */
const engineOf = (now: ClusterState, later: ClusterState = now) => {
  const decided: { records: readonly LogRecord[] }[] = [];
  const engine = {
    state: now,
    submit: (command: { decide: (state: ClusterState) => { ok: boolean; value?: never } }) => {
      const done = command.decide(later);
      if (done.ok) decided.push(done.value ?? { records: [] });
      return Promise.resolve(done.ok ? ok({ value: "update", revision: 2 }) : done);
    },
  } as unknown as Engine;
  return { engine, decided };
};
const jobsOf = (engine: Engine, refusal: (image: string) => Problem | undefined = () => undefined) =>
  createSnapshotJobs({ engine, complaint: () => undefined }, refusal, () => ok({} as JobView));

test("a job that got a path of the host meanwhile needs another role, which nobody asked for: it is not submitted", async () => {
  const mounts = { volumes: [{ source: "/srv", target: "/srv" }] };
  const { decided, engine } = engineOf(stateWith({}), stateWith(mounts));
  const done = await jobsOf(engine).startFromSnapshot(id, null, origin, null);
  expect(done).toMatchObject({ ok: false, error: { code: "request.invalid" } });
  expect(decided).toEqual([]);
  // As it was when it was asked: that is what the engine checks the role of.
  const same = engineOf(stateWith(mounts));
  expect(await jobsOf(same.engine).startFromSnapshot(id, null, origin, null)).toMatchObject({ ok: true });
  expect(same.decided).toHaveLength(1);
});

test("nothing starts from a snapshot that is being removed, and what starts from it already keeps it", async () => {
  const clock = manualClock();
  const { engine } = engineOf(stateWith({}));
  const removals = createSnapshotRemovals(engine, clock);
  expect(await removals.beginRemoval(id, origin)).toEqual(ok(null));
  const started = await jobsOf(engine, removals.refusal).startFromSnapshot(id, null, origin, null);
  expect(started).toMatchObject({ ok: false, error: { code: "snapshot.in_use" } });
  // Two remove it: the first to be done does not speak for the other.
  await removals.beginRemoval(id, origin);
  await removals.endRemoval(id, origin);
  expect(removals.refusal(IMAGE)).toMatchObject({ code: "snapshot.in_use" });
  await removals.endRemoval(id, origin);
  expect(removals.refusal(IMAGE)).toBeUndefined();
  // Nobody heard of the end.
  await removals.beginRemoval(id, origin);
  clock.advance(30_000);
  expect(removals.refusal(IMAGE)).toBeUndefined();

  const used = engineOf(stateWith({}), stateWith({ image: IMAGE }));
  const second = createSnapshotRemovals(used.engine, clock);
  expect(await second.beginRemoval(id, origin)).toMatchObject({ ok: false, error: { code: "snapshot.in_use" } });
  expect(second.refusal(IMAGE)).toBeUndefined();
});
