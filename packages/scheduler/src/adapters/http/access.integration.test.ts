/** Roles and projects over the real server: what each token may and sees, what its end cuts off. */
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  ROLES,
  Routes,
  routePath,
  volumeImportId,
  type ImageRequest,
  type KeptLayer,
  type Role,
  type WatchMessage,
} from "@berth/schema";
import { startFakeAgent } from "../../testing/fake-agent.ts";
import { answerOf, batch, clientOf, startScheduler, type Answer, type TestScheduler } from "../../testing/scheduler.ts";
import { eventually } from "../../testing/temp.ts";
import { RIGHTS } from "./rights.ts";

const SNAPSHOTS = ["oci://local/media/snapshots/a:0.one", "oci://local/web/snapshots/a:0.one"];
const layerOf = (id: string, project: string) =>
  ({
    ...{ allocation: `alloc_06f0000000000000000000000${id}`, project, job: "long-ago", index: 0 },
    ...{ image: "builtin://busybox", endedAtMs: 1, sizeBytes: 1 },
  }) as KeptLayer;
const LAYERS = [layerOf("d", "media"), layerOf("e", "web")];
const VOLUME = "media.data.7";
const OPERATIONS = [
  [volumeImportId(VOLUME), { kind: "volume_import", volume: VOLUME, mostBytes: null }],
  ["operation-of-export", { kind: "volume_export", volume: VOLUME }],
  ["operation-of-a-root", { kind: "root", allocation: LAYERS[0]?.allocation, pause: false }],
  ["operation-of-snapshot", { kind: "snapshot", allocation: LAYERS[0]?.allocation, image: SNAPSHOTS[0] }],
] as [string, ImageRequest][];
let scheduler: TestScheduler;
type Call = TestScheduler["call"];
const tokens = new Map<string, string>();

const make = async (name: string, role: Role, more: Record<string, unknown> = {}): Promise<string> => {
  const answer = await scheduler.call("POST", Routes.access, { name, role, ...more });
  expect(answer.status, answer.text).toBe(200);
  return answer.body.token as string;
};
const as = (name: string): Call => clientOf(scheduler.url, tokens.get(name) ?? "");

beforeAll(async () => {
  scheduler = await startScheduler();
  const images = [...SNAPSHOTS, "oci://local/media/shared:1"];
  await startFakeAgent(scheduler, { id: "h1", images, layers: LAYERS, operations: OPERATIONS });
  for (const role of ROLES) tokens.set(role, await make(`all-${role}`, role));
  tokens.set("web", await make("web-ci", "submitter", { projects: ["web"] }));
  tokens.set("media", await make("media-ci", "submitter", { projects: ["media"] }));
  tokens.set("web-viewer", await make("web-eyes", "viewer", { projects: ["web"] }));
  tokens.set("web-operator", await make("web-ops", "operator", { projects: ["web"] }));
});

const values = {
  project: "media",
  job: "a",
  index: 0,
  host: "h9",
  allocation: "alloc_06f0000000000000000000000a",
  token: "abcdefghij",
  volume: "v",
  secret: "s",
  snapshot: "n",
  access: "abcdefghij",
  operation: "operation-0000000001",
  "*": "x",
};
const asked = Object.entries(RIGHTS).flatMap(([name, methods]) =>
  Object.entries(methods).flatMap(([method, right]) =>
    right === "public" ? [] : [{ method, right, route: Routes[name as keyof typeof Routes] }],
  ),
);

/** Events go on for ever unless told not to; images of all hosts wait for those that do not answer. */
const queryOf = (route: string): string =>
  route === Routes.events
    ? "?follow=false"
    : route === Routes.images || route === Routes.imageOperations
      ? "?host=h9"
      : "";

describe("every guarded route", () => {
  test.each(asked)("$method $route is for its role, and not for the one below", async ({ method, route, right }) => {
    const query = queryOf(route);
    const least = ROLES.indexOf(right.role);
    for (const role of ROLES.slice(Math.max(0, least - 1), least + 1)) {
      const answer = await as(role)(method, routePath(route, values) + query);
      const mayUse = role === right.role;
      expect(answer.status === 403, `${role}: ${answer.text.slice(0, 200)}`).toBe(!mayUse);
      if (!mayUse) expect(answer.body).toMatchObject({ code: "auth.forbidden" });
      expect(answer.status).not.toBe(401);
    }
  });

  test.each(asked)("$method $route changes nothing of the cluster, or of others, for who is bound", async (one) => {
    const { method, route, right } = one;
    const query = queryOf(route);
    const answer = await as("web-operator")(method, routePath(route, values) + query);
    const isForeign = route.includes(":project");
    const changesCluster = right.of === "cluster" && right.role !== "viewer";
    expect(answer.status === 403, answer.text.slice(0, 200)).toBe(
      isForeign || changesCluster || right.role === "admin",
    );
  });
});

const ended = async (call: Call, project: string, name: string): Promise<unknown> =>
  eventually(
    `the end of ${project}/${name}`,
    async () => (await call("GET", `/v1/jobs/${project}/${name}`)).body.state === "succeeded",
  );

describe("who is bound to a project", () => {
  beforeAll(async () => {
    await scheduler.call("POST", "/v1/jobs", batch("theirs", { project: "media" }));
    const mine = await as("web")("POST", "/v1/jobs", batch("mine", { project: "web" }));
    expect(mine.status, mine.text).toBe(201);
    expect(mine.body.job.submittedBy).toBe("web-ci");
    await ended(as("web"), "web", "mine");
    await ended(scheduler.call, "media", "theirs");
  });

  test("submits, plans and stops there and nowhere else", async () => {
    const call = as("web");
    for (const query of ["", "?dryRun=true"]) {
      const other = await call("POST", `/v1/jobs${query}`, batch("mine", { project: "media" }));
      expect(other.body).toMatchObject({ code: "auth.forbidden", status: 403 });
      expect(other.body.detail).toContain("not in media");
    }
    expect((await call("POST", "/v1/jobs", batch("mine"))).status).toBe(403);
    expect((await call("POST", "/v1/jobs/media/theirs/stop")).status).toBe(403);
    expect((await call("POST", "/v1/jobs/web/mine/stop")).status).toBe(200);
    expect((await as("web-viewer")("POST", "/v1/jobs/web/mine/stop")).body.detail).toContain("role submitter");
  });

  test("says what names of its project stand for, and no others", async () => {
    const manifest = `sha256:${"a".repeat(64)}`;
    const name = (who: string, image: string) => as(who)("POST", "/v1/images/names", { image, manifest });
    expect(await name("web", "oci://local/web/app")).toMatchObject({
      status: 200,
      body: { image: "oci://local/web/app:latest", manifest },
    });
    for (const image of ["oci://local/media/app", "oci://local/app"]) {
      expect((await name("web", image)).body).toMatchObject({ code: "auth.forbidden" });
      expect((await name("operator", image)).status).toBe(200);
    }
    // A distribution is no project's, whatever its folder is called.
    expect((await name("submitter", "distro://debian/12")).body).toMatchObject({ code: "auth.forbidden" });
    expect((await name("web-viewer", "oci://local/web/app")).status).toBe(403);
    expect((await name("operator", "oci://registry.lan/app")).body).toMatchObject({ code: "request.invalid" });
  });

  test("gives no container a directory of a host, unless an operator", async () => {
    const job = batch("mounts", { project: "web", volumes: [{ source: "/etc", target: "/host" }] });
    for (const query of ["", "?dryRun=true"]) {
      expect((await as("web")("POST", `/v1/jobs${query}`, job)).body.detail).toContain("role operator");
    }
    expect((await as("web-operator")("POST", "/v1/jobs?dryRun=true", job)).status).toBe(200);
  });

  test("makes images of its own tasks under its own names, none over a snapshot, and gives up what it could begin", async () => {
    const mine = (await as("web")("GET", "/v1/allocations?project=web")).body.items[0].id as string;
    const commit = (image: string) => as("web")("POST", `/v1/allocations/${mine}/commit`, { image });
    expect((await commit("oci://local/web/snapshots/mine:0.one")).body).toMatchObject({
      code: "request.invalid",
      detail: expect.stringContaining("never overwritten"),
    });
    expect((await commit("oci://local/media/mine:1")).body.code).toBe("auth.forbidden");
    const cancel = (who: Call, operation: string) =>
      who("POST", routePath(Routes.imageOperationCancel, { host: "h1", operation }));
    const { id } = (await commit("oci://local/web/mine:1")).body;
    expect((await cancel(as("web-viewer"), id)).body.code).toBe("auth.forbidden");
    expect((await cancel(as("media"), id)).body.code).toBe("auth.forbidden");
    expect((await cancel(as("web"), id)).body).toMatchObject({ state: "failed", error: "it was cancelled" });
    const request = { kind: "pull", image: "oci://registry.lan/app:1" };
    const pull = (await scheduler.call("POST", Routes.imageOperations, { hosts: ["h1"], request })).body.id;
    expect((await cancel(as("web"), pull)).body.detail).toContain("role operator");
    expect((await cancel(scheduler.call, pull)).body).toMatchObject({ state: "failed" });
  });

  test("is not told how far operations on files, and on snapshots of other projects, are", async () => {
    const status = async (who: Call, [operation]: [string, ImageRequest]) =>
      (await who("GET", routePath(Routes.imageOperation, { host: "h1", operation }))).body;
    for (const one of OPERATIONS)
      expect(await status(as("web-viewer"), one), one[0]).toMatchObject({ code: "operation.not_found" });
    expect(await status(as("media"), OPERATIONS.at(-1)!)).toMatchObject({ kind: "snapshot", image: SNAPSHOTS[0] });
    expect(await status(scheduler.call, OPERATIONS[0]!)).toMatchObject({ code: "operation.not_found" });
  });

  test("removes what its forgotten tasks wrote, and that of no other project", async () => {
    const remove = (who: Call, allocation: string) => who("POST", routePath(Routes.layerRemove, { allocation }));
    const [theirs, mine] = LAYERS.map(({ allocation }) => allocation);
    expect((await remove(as("web"), theirs ?? "")).body.code).toBe("allocation.not_found");
    expect((await remove(as("web-viewer"), mine ?? "")).body.code).toBe("auth.forbidden");
    expect((await remove(as("web"), mine ?? "")).body).toEqual({ removed: true });
    expect((await remove(scheduler.call, "alloc_06f0000000000000000000000c")).body.code).toBe("allocation.not_found");
  });

  test("sees that project in lists, single things, files, events and the live feed", async () => {
    const call = as("web-viewer");
    const projects = (answer: Answer): string[] => [
      ...new Set<string>(answer.body.items.map((one: { project: string }) => one.project)),
    ];
    expect(projects(await call("GET", "/v1/jobs"))).toEqual(["web"]);
    expect(projects(await call("GET", "/v1/allocations"))).toEqual(["web"]);
    expect(projects(await scheduler.call("GET", "/v1/jobs")).sort()).toEqual(["media", "web"]);
    for (const path of [
      "/v1/jobs?project=media",
      "/v1/allocations?project=media",
      "/v1/events?project=media",
      "/v1/volumes?project=media",
    ]) {
      expect((await call("GET", path)).status, path).toBe(403);
    }
    const volume = { name: "data" };
    expect((await as("web")("POST", "/v1/volumes", { ...volume, project: "media" })).status).toBe(403);
    expect((await as("web")("POST", "/v1/volumes", { ...volume, project: "web" })).status).toBe(200);
    expect((await scheduler.call("POST", "/v1/volumes", { ...volume, project: "media" })).status).toBe(200);
    expect(projects(await call("GET", "/v1/volumes"))).toEqual(["web"]);
    expect((await as("web")("GET", "/v1/volumes/media/data")).status).toBe(403);
    expect((await as("web")("POST", "/v1/volumes/media/data/copies", { name: "mine" })).status).toBe(403);
    expect((await as("web")("POST", "/v1/volumes/media/data/remove")).status).toBe(403);
    expect((await scheduler.call("GET", "/v1/volumes/media/data")).status).toBe(200);
    expect((await call("POST", "/v1/volumes/web/data/remove")).status).toBe(403);
    const images = async (who: Call): Promise<string[]> =>
      (await who("GET", Routes.images)).body.items.map((one: { image: { name: string } }) => one.image.name);
    expect(await images(call)).toEqual([SNAPSHOTS[1], "oci://local/media/shared:1"]);
    expect(await images(scheduler.call)).toHaveLength(3);
    const seen = await call("GET", `${Routes.imageInspect}?image=${encodeURIComponent(SNAPSHOTS[0] ?? "")}`);
    expect(seen.body).toMatchObject({ code: "image.not_found" });
    expect(
      (await as("web")("POST", "/v1/jobs", batch("spy", { project: "web", image: SNAPSHOTS[0] }))).body,
    ).toMatchObject({
      code: "job.spec_invalid",
    });
    const theirs = (await scheduler.call("GET", "/v1/allocations?project=media")).body.items[0].id as string;
    const mine = (await call("GET", "/v1/allocations?project=web")).body.items[0].id as string;
    for (const path of ["", "/logs", "/outputs", "/outputs/x", "/changes"]) {
      const hidden = await call("GET", `/v1/allocations/${theirs}${path}`);
      expect(hidden.body, path).toMatchObject({ code: "allocation.not_found", status: 404 });
    }
    for (const verb of ["pause", "resume"]) {
      expect((await as("web")("POST", `/v1/allocations/${theirs}/${verb}`)).body.code).toBe("allocation.not_found");
      expect((await call("POST", `/v1/allocations/${mine}/${verb}`)).body.code).toBe("auth.forbidden");
    }
    expect((await call("GET", `/v1/allocations/${mine}`)).status).toBe(200);
    const events = (await call("GET", "/v1/events?since=0&follow=false")).text;
    expect(events).toContain('"project":"web"');
    expect(events).toContain("host_registered");
    expect(events).not.toContain("media");
    expect(events).not.toContain("access_");
    expect((await as("admin")("GET", "/v1/events?since=0&follow=false")).text).toContain("access_created");

    const feed = new WebSocket(scheduler.url.replace("http", "ws") + Routes.watch, {
      headers: { authorization: `Bearer ${tokens.get("web-viewer")}` },
    });
    const messages: WatchMessage[] = [];
    feed.on("message", (data) => messages.push(JSON.parse((data as Buffer).toString()) as WatchMessage));
    await eventually("the snapshot", () => messages.length > 0);
    await scheduler.call("POST", "/v1/jobs", batch("theirs-2", { project: "media" }));
    await as("web")("POST", "/v1/jobs", batch("mine-2", { project: "web" }));
    await eventually("mine", () => JSON.stringify(messages).includes("mine-2"));
    await ended(scheduler.call, "media", "theirs-2");
    expect(JSON.stringify(messages)).not.toContain("theirs");
    expect(JSON.stringify(messages)).toContain("h1");
    feed.terminate();
  });
});

describe("the end of a token", () => {
  const status = (call: Call): Promise<number> => call("GET", Routes.self).then((answer) => answer.status);

  test("cuts off at once what is open with it, its sessions included", async () => {
    const token = await make("temp", "viewer");
    const call = clientOf(scheduler.url, token);
    expect((await call("GET", Routes.self)).body).toMatchObject({ name: "temp", role: "viewer", projects: null });
    const { ticket } = (await call("POST", Routes.tickets)).body;
    const login = await fetch(`${scheduler.url}${Routes.login}?ticket=${ticket}`, { redirect: "manual" });
    const cookie = (login.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const bySession = (): Promise<Answer> => fetch(scheduler.url + Routes.self, { headers: { cookie } }).then(answerOf);
    expect((await bySession()).body).toMatchObject({ name: "temp", via: "session" });

    const feed = new WebSocket(scheduler.url.replace("http", "ws") + Routes.watch, { headers: { cookie } });
    feed.on("error", () => {});
    await new Promise((resolve) => feed.once("message", resolve));
    const feedEnd = new Promise((resolve) => feed.once("close", resolve));
    const stream = await fetch(scheduler.url + Routes.events, { headers: { authorization: `Bearer ${token}` } });
    const streamEnd = stream.text().then(
      () => "ended",
      () => "cut",
    );
    expect((await scheduler.call("POST", routePath(Routes.accessRevoke, { access: "temp" }))).status).toBe(200);
    await feedEnd;
    expect(await streamEnd).toBe("cut");
    expect(await status(call)).toBe(401);
    expect((await bySession()).body.detail).toContain("revoked");
    expect((await scheduler.call("POST", routePath(Routes.accessRevoke, { access: "temp" }))).body.code).toBe(
      "access.not_found",
    );
  });

  test("comes with its time, and after a restart nothing has changed", async () => {
    const call = clientOf(scheduler.url, await make("short", "viewer", { ttl: "1s" }));
    expect(await status(call)).toBe(200);
    await eventually("its end", async () => (await status(call)) === 401);
    await scheduler.running.close();
    scheduler = await startScheduler({ dataDir: scheduler.dataDir });
    expect(await status(as("web"))).toBe(200);
    const list = (await scheduler.call("GET", Routes.access)).body.items as { name: string }[];
    expect(list.map(({ name }) => name)).toEqual([
      ...ROLES.map((role) => `all-${role}`),
      "web-ci",
      "media-ci",
      "web-eyes",
      "web-ops",
    ]);
    expect(JSON.stringify(list)).not.toContain("digest");
  });
});

test("wrong requests say what is wrong", async () => {
  const post = (body: unknown): Promise<Answer> => scheduler.call("POST", Routes.access, body);
  expect((await post({ name: "web-ci", role: "viewer" })).body).toMatchObject({ code: "access.exists", status: 409 });
  expect((await post({ name: "admin", role: "viewer" })).body.code).toBe("access.exists");
  expect((await post({ name: "x", role: "god" })).body.code).toBe("request.invalid");
  expect((await post({ name: "x", role: "viewer", ttl: "5" })).body.errors[0].pointer).toBe("/ttl");
  expect((await post({ name: "x", role: "admin", projects: ["web"] })).body.errors[0].pointer).toBe("/projects");
});

test("a token says when it was used last, and what it may change", async () => {
  const fresh = await make("seldom", "viewer");
  const uses = async (): Promise<number | null> =>
    ((await scheduler.call("GET", Routes.access)).body.items as { name: string; lastUsedAtMs: number | null }[]).find(
      ({ name }) => name === "seldom",
    )?.lastUsedAtMs ?? null;
  expect(await uses()).toBeNull();
  const beforeMs = Date.now();
  const self = await clientOf(scheduler.url, fresh)("GET", Routes.self);
  expect(self.body.may).toEqual([`POST ${Routes.tickets}`]);
  expect(await uses()).toBeGreaterThanOrEqual(beforeMs);
  // On disk at the latest with the next start.
  await scheduler.running.close();
  scheduler = await startScheduler({ dataDir: scheduler.dataDir });
  expect(await uses()).toBeGreaterThanOrEqual(beforeMs);
});
