import { afterEach, expect, test } from "vitest";
import { problem } from "@berth/schema";
import { runProgram } from "../program.ts";
import { fakeApi, routes, type FakeApi, type Handler } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";

let api: FakeApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

const berth = async (handler: Handler, words: readonly string[]) => {
  api = await fakeApi(handler);
  const io = fakeIo({ env: api.env });
  const status = await runProgram(io, ["project", ...words]);
  return { status, out: io.text(), err: io.errText() };
};
const sent = (): unknown => JSON.parse(api?.requests[0]?.body ?? "");

const GiB = 2 ** 30;
const view = {
  name: "media",
  declared: true,
  description: "films",
  weight: 200,
  quota: { tasks: 4, cpuMillis: 16_000, more: { gpu: 2 } },
  used: { tasks: 4, cpuMillis: 2_500, memoryBytes: 3 * GiB, pids: 40, more: { gpu: 1 } },
  activeJobs: 2,
  pendingTasks: 7,
  share: 0.25,
  recentShare: 0.1,
  createdBy: "admin",
  createdAtMs: 1,
};

test("create sends what was said, sizes as they were written, and prints what the project has", async () => {
  const words = ["create", "media", "--quota", "cpu=16,memory=64Gi", "--quota", "tasks=4,gpu=2", "--weight", "200"];
  const { status, out } = await berth(routes({ "POST /v1/projects": { json: view } }), words);
  expect(status).toBe(0);
  expect(sent()).toEqual({
    name: "media",
    quota: { cpu: "16", memory: "64Gi", tasks: 4, more: { gpu: 2 } },
    weight: 200,
  });
  expect(out).toContain("media: films");
  expect(out).toMatch(/cpu +2\.5\/16/);
  expect(out).toMatch(/further +gpu 1\/2/);
});

test("set takes limits away with none, and asks what shall be changed", async () => {
  const handler = routes({ "POST /v1/projects/media/set": { json: view } });
  expect((await berth(handler, ["set", "media", "--quota", "memory=none,gpu=none"])).status).toBe(0);
  expect(sent()).toEqual({ quota: { memory: null, more: { gpu: null } } });
  await api?.close();
  const network = "network.ingress=none,network.egress=200Mbit";
  expect((await berth(handler, ["set", "media", "--quota", network])).status).toBe(0);
  expect(sent()).toEqual({ quota: { network: { ingress: null, egress: "200Mbit" } } });
  await api?.close();
  for (const words of [
    ["set", "media"],
    ["set", "media", "--quota", "cpu"],
    ["set", "media", "--quota", "tasks=many"],
    ["set", "media", "--weight", "0"],
  ]) {
    expect((await berth(() => undefined, words)).status, words.join(" ")).toBe(64);
    await api?.close();
  }
});

test("the right to do without the filter of system calls is given, taken and shown", async () => {
  const handler = routes({ "POST /v1/projects/media/set": { json: { ...view, unconfinedSeccomp: true } } });
  const { out } = await berth(handler, ["set", "media", "--unconfined-seccomp"]);
  expect(sent()).toEqual({ unconfinedSeccomp: true });
  expect(out).toContain("seccomp   its jobs may do without the filter of system calls");
  await api?.close();
  const taken = await berth(routes({ "POST /v1/projects/media/set": { json: view } }), [
    ...["set", "media", "--no-unconfined-seccomp"],
  ]);
  expect(sent()).toEqual({ unconfinedSeccomp: false });
  expect(taken.out).not.toContain("seccomp");
});

test("ls shows what is held of what may be, page by page", async () => {
  const other = { ...view, name: "lab", quota: {}, createdBy: null, createdAtMs: null, declared: false };
  const handler: Handler = (request) =>
    request.query.has("cursor")
      ? { json: { items: [view], next: null, revision: 3 } }
      : { json: { items: [other], next: "bGFi", revision: 3 } };
  const { status, out } = await berth(handler, ["ls"]);
  expect(status).toBe(0);
  expect(out).toMatch(/^lab +4 +2\.5 +3 GiB +7 +2 +200$/m);
  expect(out).toMatch(/^media +4\/4 +2\.5\/16 +3 GiB +7 +2 +200$/m);
});

test("rm tells what is still in it", async () => {
  const refused = problem("project.in_use", "media still has job a; stop its jobs and remove its volumes first");
  const { status, err } = await berth(routes({ "POST /v1/projects/media/remove": { status: 409, json: refused } }), [
    "rm",
    "media",
  ]);
  expect(status).toBe(75);
  expect(err).toContain("media still has job a");
});
