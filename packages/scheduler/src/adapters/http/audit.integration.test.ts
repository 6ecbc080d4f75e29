/** The audit trail over the real server: changes, refusals, and what must never be in it. */
import { beforeAll, expect, test } from "vitest";
import { Routes, type AuditEntry } from "@berth/schema";
import { startFakeAgent } from "../../testing/fake-agent.ts";
import { batch, clientOf, startScheduler, type TestScheduler } from "../../testing/scheduler.ts";
import { eventually } from "../../testing/temp.ts";

let scheduler: TestScheduler;
let ci: TestScheduler["call"];
let secret: string;

const audit = async (query = ""): Promise<AuditEntry[]> => {
  const { status, body, text } = await scheduler.call("GET", `${Routes.audit}?limit=1000${query}`);
  expect(status, text).toBe(200);
  return body.items as AuditEntry[];
};
const refusals = (count: number, query = ""): Promise<AuditEntry[]> =>
  eventually(`${count} refusals`, async () => {
    const found = await audit(`&result=refused${query}`);
    if (found.length < count) throw new Error(JSON.stringify(found.map(({ code, message }) => [code, message])));
    return found;
  });

beforeAll(async () => {
  scheduler = await startScheduler();
  const behave = ({ job }: { readonly job: string }) => ({ code: job === "still" ? ("forever" as const) : 0 });
  await startFakeAgent(scheduler, { id: "h1", behave });
  const made = await scheduler.call("POST", Routes.access, { name: "ci", role: "submitter", projects: ["web"] });
  secret = made.body.token as string;
  ci = clientOf(scheduler.url, secret);
});

test("a change is in it with its answer: who, from where, what; and a change that was none is not", async () => {
  const job = batch("site", { project: "web", env: { PASSWORD: "hunter2" } });
  const { body } = await ci("POST", Routes.jobs, job);
  const [entry, ...more] = await audit("&who=ci");
  expect(more).toEqual([]);
  expect(entry).toMatchObject({ kind: "job_submitted", project: "web", job: "site", result: "done", code: null });
  expect(entry?.origin).toMatchObject({ who: "ci", via: "token", from: "127.0.0.1" });
  expect(entry?.sequence).toBe(body.revision);
  await scheduler.call("POST", `${Routes.jobs}?dryRun=true`, batch("planned"));
  expect((await audit("&job=planned")).length).toBe(0);
});

test("whoever is refused is in it, by name or by address: roles, projects, bad input, what is not there, no token", async () => {
  await ci("POST", "/v1/hosts/h1/drain", {});
  await ci("POST", Routes.jobs, batch("other", { project: "media" }));
  await ci("POST", "/v1/jobs/web/nothing/stop");
  await ci("POST", Routes.jobs, { name: "web", project: "web", kind: "batch" });
  const mine = await refusals(4, "&who=ci");
  expect(mine.map(({ code }) => code ?? "").toSorted((a, b) => a.localeCompare(b))).toEqual([
    "auth.forbidden",
    "auth.forbidden",
    "job.not_found",
    "job.spec_invalid",
  ]);
  expect(mine.find(({ host }) => host === "h1")).toMatchObject({ message: expect.stringContaining("drain") });
  await clientOf(scheduler.url, "stolen-token-that-is-none")("POST", "/v1/hosts/h1/cordon");
  await clientOf(scheduler.url, "x")("POST", `/v1/access/${secret}/revoke`);
  const unknown = await refusals(2, "&who=nobody%20who%20is%20known");
  expect(unknown.map(({ code, origin }) => [code, origin.from])).toEqual([
    ["auth.required", "127.0.0.1"],
    ["auth.required", "127.0.0.1"],
  ]);
  // Reading is no change.
  await ci("GET", Routes.access);
  expect((await audit("&who=ci")).filter(({ message }) => message.includes("GET"))).toEqual([]);
});

test("requests that leave no other record are in it", async () => {
  await scheduler.call("GET", Routes.backup);
  await scheduler.call("POST", Routes.imageOperations, { kind: "prune", hosts: ["h1"], all: false });
  await scheduler.call("GET", `${Routes.imageExport}?host=h9&image=${encodeURIComponent("oci://local/app:1")}`);
  await scheduler.call("POST", Routes.jobs, batch("still"));
  const id = await eventually("it runs", async () => {
    const { body } = await scheduler.call("GET", "/v1/allocations?job=still&state=running");
    return (body.items[0] as { id: string } | undefined)?.id;
  });
  const paused = await scheduler.call("POST", `/v1/allocations/${id}/pause`);
  expect([paused.status, paused.body.id]).toEqual([200, id]);
  const made = await audit("&kind=request_made");
  expect(made.map(({ message }) => message)).toContain("GET /v1/backup was asked for");
  const exports = made.filter(({ message }) => message.startsWith("GET /v1/images/export"));
  expect(exports.map(({ host, result }) => [host, result])).toEqual([["h9", "done"]]);
  const pauses = made.filter(({ message }) => message.includes("/pause"));
  expect(pauses.map(({ job, host, result }) => [job, host, result])).toEqual([["still", "h1", "done"]]);
});

test("there is no secret in it", async () => {
  const text = JSON.stringify(await audit());
  for (const hidden of [secret, secret.split(".")[2] ?? "", "hunter2", "stolen-token", scheduler.token]) {
    expect(text.includes(hidden), hidden).toBe(false);
  }
});

test("pages follow each other; whoever is no admin sees none", async () => {
  const all = await audit();
  const seen: AuditEntry[] = [];
  let since: number | null = 0;
  while (since !== null) {
    const { body } = await scheduler.call("GET", `${Routes.audit}?limit=2&since=${since}`);
    seen.push(...(body.items as AuditEntry[]));
    since = body.next as number | null;
  }
  expect(seen).toEqual(all);
  expect((await ci("GET", Routes.audit)).status).toBe(403);
  expect((await scheduler.call("GET", `${Routes.audit}?tail=1`)).body.items).toEqual(all.slice(-1));
});

test("a flood of refusals is cut off, counted, and costs no change its place", async () => {
  const before = (await audit("&result=done")).length;
  await Promise.all(Array.from({ length: 300 }, () => ci("POST", "/v1/hosts/h1/drain", {})));
  const { text } = await scheduler.call("GET", Routes.metrics);
  const dropped = Number(/berth_audit_entries_dropped_total (\d+)/.exec(text)?.[1]);
  expect(dropped).toBeGreaterThan(150);
  expect((await audit("&result=refused")).length).toBeLessThan(150);
  expect((await audit("&result=done")).length).toBe(before);
});

test("a flood of one token takes the turns of no other", async () => {
  const made = await scheduler.call("POST", Routes.access, { name: "calm", role: "viewer" });
  const calm = clientOf(scheduler.url, made.body.token as string);
  await Promise.all(Array.from({ length: 100 }, () => ci("POST", "/v1/hosts/h1/drain", {})));
  await calm("POST", "/v1/hosts/h1/drain", {});
  expect((await refusals(1, "&who=calm"))[0]).toMatchObject({ code: "auth.forbidden", host: "h1" });
});
