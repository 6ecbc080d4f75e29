import { afterEach, expect, test } from "vitest";
import { problem } from "@berth/schema";
import { runProgram } from "../program.ts";
import { fakeApi, type FakeApi, type Handler } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";
import { allocationId, allocationView } from "../testing/samples.ts";

let api: FakeApi | undefined;
afterEach(() => api?.close());

const view = (paused: boolean) => {
  const usage = { cpuMillis: 0, memoryBytes: 1024, pids: 2 };
  return allocationView({ state: "running", usage: paused ? { ...usage, paused: true } : usage });
};
const answers =
  (paused: boolean): Handler =>
  ({ method, path }) => {
    if (path === "/v1/allocations") return { json: { items: [view(paused)], next: null, revision: 9 } };
    const verb = path.split("/").at(-1);
    if (method !== "POST" || !path.startsWith(`/v1/allocations/${allocationId(1)}/`)) return undefined;
    return { json: view(verb === "pause") };
  };

const berth = async (words: readonly string[], handler: Handler) => {
  await api?.close();
  api = await fakeApi(handler);
  const io = fakeIo({ env: api.env });
  const status = await runProgram(io, words);
  return { status, out: io.text(), err: io.errText() };
};

test("a sentence for people, the allocation for programs", async () => {
  expect(await berth(["pause", "hello"], answers(false))).toEqual({
    ...{ status: 0, out: "", err: "default/hello[0] is paused\n" },
  });
  const resumed = await berth(["resume", "hello", "-o", "json"], answers(true));
  expect([resumed.status, resumed.err]).toEqual([0, "default/hello[0] goes on\n"]);
  expect(JSON.parse(resumed.out)).toEqual(view(false));
});

test("`berth ps` shows what is paused", async () => {
  expect((await berth(["ps"], answers(true))).out).toMatch(/hello\[0\] +paused /);
  expect((await berth(["ps"], answers(false))).out).toMatch(/hello\[0\] +running /);
});

test("what cannot be paused says why", async () => {
  const busy = await berth(["pause", "hello"], (request) =>
    request.path.endsWith("/pause")
      ? { status: 409, json: problem("allocation.not_paused", "not every process stood still within 5000 ms") }
      : answers(false)(request),
  );
  expect(busy.status).toBe(75);
  expect(busy.err).toContain("not every process stood still");
});
