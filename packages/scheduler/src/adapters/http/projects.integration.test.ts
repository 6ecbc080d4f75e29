/** Projects over the real server and its log: quotas that hold work back and let it go, who may set them, what is told. */
import { beforeAll, expect, test } from "vitest";
import { Routes, routePath } from "@berth/schema";
import { startFakeAgent } from "../../testing/fake-agent.ts";
import { batch, clientOf, startScheduler, type TestScheduler } from "../../testing/scheduler.ts";
import { eventually } from "../../testing/temp.ts";

let scheduler: TestScheduler;
beforeAll(async () => {
  scheduler = await startScheduler();
  await startFakeAgent(scheduler, { id: "h1", behave: () => ({ code: "forever" as const }) });
});

const project = (name: string): string => routePath(Routes.project, { project: name });
const whyOf = (index: number): string => routePath(Routes.taskWhy, { project: "media", job: "work", index });

test("a quota holds tasks back, says so, and lets them go when it is raised", async () => {
  const made = await scheduler.call("POST", Routes.projects, { name: "media", quota: { tasks: 2, memory: "64Gi" } });
  expect(made.status, made.text).toBe(200);
  expect(made.body).toMatchObject({
    declared: true,
    quota: { tasks: 2, memoryBytes: 64 * 2 ** 30 },
    createdBy: "admin",
  });

  const work = batch("work", { project: "media", array: { size: 3 } });
  expect((await scheduler.call("POST", Routes.jobs, work)).status).toBe(201);
  const seen = await eventually("two tasks hold a place", async () => {
    const { body } = await scheduler.call("GET", project("media"));
    return body.used.tasks === 2 && body;
  });
  expect(seen).toMatchObject({ pendingTasks: 1, activeJobs: 1 });
  const why = await scheduler.call("GET", whyOf(2));
  expect(why.body).toMatchObject({
    sentence: expect.stringContaining("waits for the quota of project media"),
    outcome: { kind: "held", hold: { kind: "quota", dimension: "tasks", limit: 2, used: 2 } },
  });

  const large = batch("large", { project: "media", resources: { memory: { request: "65Gi" } } });
  const refused = await scheduler.call("POST", Routes.jobs, large);
  expect([refused.status, refused.body.code]).toEqual([422, "job.exceeds_quota"]);
  expect(refused.body.detail).toContain("65 GiB memory");

  const raised = await scheduler.call("POST", routePath(Routes.projectSet, { project: "media" }), {
    quota: { tasks: 3 },
  });
  expect(raised.body.quota).toEqual({ tasks: 3, memoryBytes: 64 * 2 ** 30 });
  await eventually(
    "the third has its place",
    async () => (await scheduler.call("GET", project("media"))).body.used.tasks === 3,
  );

  const inUse = await scheduler.call("POST", routePath(Routes.projectRemove, { project: "media" }), {});
  expect([inUse.status, inUse.body.code]).toEqual([409, "project.in_use"]);
  // Whoever is refused does not wait until that is written down.
  await eventually("what was done, and what was refused, is in the audit", async () => {
    const { body: audit } = await scheduler.call("GET", `${Routes.audit}?project=media&tail=10`);
    const told = audit.items.map((entry: { kind: string; code: string | null }) => `${entry.kind} ${entry.code}`);
    const wanted = ["project_created null", "project_changed null", "request_refused project.in_use"];
    return wanted.every((one) => told.includes(one));
  });
});

test("whoever is bound to projects sees only those, and sets nobody's quota, not even its own", async () => {
  const token = await scheduler.call("POST", Routes.access, { name: "lab-ci", role: "operator", projects: ["lab"] });
  const call = clientOf(scheduler.url, token.body.token as string);
  expect((await call("GET", Routes.projects)).body.items).toEqual([]);
  expect((await call("GET", project("media"))).status).toBe(403);
  expect((await call("POST", Routes.projects, { name: "lab", quota: {} })).status).toBe(403);
  expect((await scheduler.call("POST", Routes.projects, { name: "lab", weight: 50 })).status).toBe(200);
  const seen = await call("GET", Routes.projects);
  expect(seen.body.items).toMatchObject([{ name: "lab", weight: 50, quota: {}, used: { tasks: 0 } }]);
  expect((await call("POST", routePath(Routes.projectSet, { project: "lab" }), { quota: {} })).status).toBe(403);
});

test("what is wrong with a quota is said at its place", async () => {
  const wrong = await scheduler.call("POST", Routes.projects, { name: "odd", quota: { cpu: "many", disk: "1Xi" } });
  expect([wrong.status, wrong.body.code]).toEqual([400, "request.invalid"]);
  expect(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(["/quota/cpu", "/quota/disk"]);
  expect((await scheduler.call("GET", project("odd"))).body.code).toBe("project.not_found");
});
