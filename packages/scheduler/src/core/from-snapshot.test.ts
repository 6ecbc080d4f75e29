import { expect, test } from "vitest";
import { parseJobDocument, type LogRecord, type SnapshotId } from "@berth/schema";
import { fold } from "./fold.ts";
import { specFromSnapshot, startsFrom } from "./from-snapshot.ts";
import { createState } from "./state.ts";

const web = { name: "web", kind: "service", image: "builtin://busybox", command: ["sleep", "9"] };
const stateWith = (document: object) => {
  const spec = parseJobDocument(document);
  if (!spec.ok) throw new Error(JSON.stringify(spec.error));
  const state = createState();
  const by = { by: "me", idempotencyKey: null, requestDigest: "x" };
  const records: LogRecord[] = [{ kind: "job_submitted", spec: spec.value, jobVersion: 1, ...by }];
  fold(state, 1, { version: 2, epoch: 1, atMs: 1, cause: "test", origin: null, records });
  return state;
};
const id = { project: "default", job: "web", index: 0, name: "one" } as SnapshotId;
const IMAGE = "oci://local/default/snapshots/web:0.one";
const clone = (job: string, volumes?: "same" | "none") =>
  ({ job, ...(volumes === undefined ? {} : { volumes }) }) as never;

test("a job of one task goes back to its snapshot as it is otherwise; one of more has to be cloned", () => {
  const state = stateWith(web);
  const back = specFromSnapshot(state, id, null);
  expect(back).toMatchObject({ ok: true, value: { name: "web", image: IMAGE, command: ["sleep", "9"], count: 1 } });
  const many = specFromSnapshot(stateWith({ ...web, replicas: 3 }), id, null);
  expect(many).toMatchObject({ ok: false, error: { detail: expect.stringContaining("clone it") } });
  const none = specFromSnapshot(createState(), id, null);
  expect(none).toMatchObject({ ok: false, error: { code: "job.not_found" } });
});

test("a clone is one task under another name, without a gang, and is told what of its volumes", () => {
  const volumes = [{ volume: "data-${INDEX}", target: "/data" }];
  const state = stateWith({ ...web, replicas: 3, gang: true, volumes });
  expect(specFromSnapshot(state, id, clone("web"))).toMatchObject({ ok: false });
  const untold = specFromSnapshot(state, id, clone("test"));
  expect(untold).toMatchObject({ ok: false, error: { detail: expect.stringContaining("data-${INDEX}") } });
  const without = specFromSnapshot(state, id, clone("test", "none"));
  expect(without).toMatchObject({ ok: true, value: { name: "test", image: IMAGE, count: 1, volumes: [] } });
  expect(without.ok && "gangMin" in without.value).toBe(false);
  expect(specFromSnapshot(state, id, clone("test", "same"))).toMatchObject({
    value: { volumes: [{ target: "/data" }] },
  });
});

test("a clone of a daemon's task runs once and has a choice of hosts; the daemon itself does not go back to it", () => {
  const state = stateWith({ ...web, kind: "daemon", priority: "system" });
  expect(specFromSnapshot(state, { ...id, index: 3 }, clone("test"))).toMatchObject({
    ok: true,
    value: { kind: "service", name: "test", count: 1 },
  });
  expect(specFromSnapshot(state, { ...id, index: 3 }, null)).toMatchObject({
    error: { detail: "web has one task for each host and this is a snapshot of web[3] alone: clone it" },
  });
});

test("a clone of a task with another number goes on as that one; it is no job of one task to go back to", () => {
  const state = stateWith({
    ...web,
    replicas: 3,
    command: ["serve", "shard-${INDEX}", "of ${COUNT}"],
    env: { SHARD: "${INDEX}/${COUNT}" },
    volumes: [{ volume: "data-${INDEX}", target: "/data" }],
  });
  const third = { ...id, index: 2 };
  expect(specFromSnapshot(state, third, clone("test", "same"))).toMatchObject({
    value: {
      image: "oci://local/default/snapshots/web:2.one",
      command: ["serve", "shard-2", "of 3"],
      env: { SHARD: "2/3" },
      volumes: [{ volume: "data-2" }],
    },
  });
  const shrunk = specFromSnapshot(stateWith(web), third, null);
  expect(shrunk).toMatchObject({ ok: false, error: { detail: expect.stringContaining("clone it") } });
});

test("a job that starts from a snapshot is found as long as it has not finished", () => {
  expect(startsFrom(stateWith(web), IMAGE)).toBeUndefined();
  expect(startsFrom(stateWith({ ...web, image: IMAGE }), IMAGE)?.key).toBe("default/web");
});
