/** Bounds of secrets, who may still need one, and what a snapshot keeps of them. */
import { expect, test } from "vitest";
import { MAX_SECRETS_PER_PROJECT, type HostId, type ProjectName } from "@berth/schema";
import {
  createState,
  decideHello,
  decideRemoveSecret,
  decideSecret,
  desiredFor,
  imageOf,
  restoreImage,
  secretsFor,
  secretViews,
} from "./index.ts";
import { makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const project = "media" as ProjectName;
const draft = (name: string, digest = "0".repeat(64)) => ({ project, name, encrypted: "AAAA", digest });
const set = (world: World, name: string, digest?: string): void => {
  world.append(unwrap(decideSecret(world.state, draft(name, digest), "ann")));
};

test("a project has so many, and replacing one is no further one", () => {
  const world = new World();
  for (let at = 0; at < MAX_SECRETS_PER_PROJECT; at += 1) set(world, `s${at}`);
  expect(decideSecret(world.state, draft("one-more"), "ann")).toMatchObject({
    ok: false,
    error: { code: "request.too_many", detail: "project media has 200 secrets; remove some first" },
  });
  expect(decideSecret(world.state, draft("s0"), "ann")).toEqual({ ok: true, value: [] });
  set(world, "s0", "1".repeat(64));
  expect(secretViews(world.state, project)[0]).toMatchObject({ name: "s0", version: 2 });
});

test("a host that has another key gets its document again; one that has none hears of no task with secrets", () => {
  const world = new World();
  const host = "h1" as HostId;
  const hello = (session: string, sealingKey?: string): void => {
    const said = { ...makeHello(resources(4_000, 8_192), session), ...(sealingKey !== undefined && { sealingKey }) };
    world.append(unwrap(decideHello(world.state, host, said)));
  };
  world.host("h1");
  hello("session-0000000002", `${"A".repeat(43)}=`);
  set(world, "a");
  world.submit(makeSpec("job", { kind: "service", secrets: [{ secret: "a", file: "a" }] }));
  world.plan();
  expect(desiredFor(world.state, host).allocations).toHaveLength(1);
  const { rev } = desiredFor(world.state, host);
  hello("session-0000000003", `${"B".repeat(43)}=`);
  expect(desiredFor(world.state, host).rev).toBeGreaterThan(rev);
  hello("session-0000000004");
  expect(desiredFor(world.state, host)).toMatchObject({ allocations: [], specs: {} });
});

test("a host has those of the tasks that are to run there, also after a snapshot, and none without them", () => {
  const world = new World();
  world.host("h1");
  set(world, "a");
  set(world, "b");
  world.submit(makeSpec("job", { kind: "service", secrets: [{ secret: "a", file: "a" }] }));
  world.plan();
  const restored = createState();
  restoreImage(restored, JSON.parse(JSON.stringify([...imageOf(world.state)])));
  for (const state of [world.state, restored]) {
    expect(secretsFor(state, "h1" as HostId).map(({ name }) => name)).toEqual(["a"]);
    expect(secretViews(state, project)).toMatchObject([
      { name: "a", usedBy: ["job"] },
      { name: "b", usedBy: [] },
    ]);
    expect(decideRemoveSecret(state, project, "a", "ann")).toMatchObject({
      ok: false,
      error: { code: "secret.in_use" },
    });
    expect(decideRemoveSecret(state, project, "b", "ann")).toMatchObject({ ok: true });
  }
  const before = world.state.hosts.get("h1" as HostId)?.desiredRev ?? 0;
  set(world, "b", "2".repeat(64));
  expect(world.state.hosts.get("h1" as HostId)?.desiredRev).toBe(before);
  set(world, "a", "2".repeat(64));
  expect(world.state.hosts.get("h1" as HostId)?.desiredRev).toBeGreaterThan(before);
});
