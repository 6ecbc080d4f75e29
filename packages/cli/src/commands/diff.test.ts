import { afterEach, expect, test } from "vitest";
import { problem } from "@berth/schema";
import { runProgram } from "../program.ts";
import { fakeApi, type FakeApi, type Handler } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";
import { allocationId, allocationView } from "../testing/samples.ts";

let api: FakeApi | undefined;
afterEach(() => api?.close());

const pages = [
  {
    changes: [
      { change: "changed", path: "/etc", type: "directory", sizeBytes: 0 },
      { change: "added", path: "/etc/\u001b[31mred\n", type: "file", sizeBytes: 2048 },
    ],
    next: "ZXRj",
  },
  { changes: [{ change: "deleted", path: "/etc/shells", type: null, sizeBytes: 0 }], next: null },
];

const answers: Handler = ({ path, query }) => {
  if (path === "/v1/allocations") {
    return { json: { items: [allocationView({ state: "running" })], next: null, revision: 9 } };
  }
  if (path !== `/v1/allocations/${allocationId(1)}/changes`) return undefined;
  return { json: query.get("after") === null ? pages[0] : pages[1] };
};

const berth = async (words: readonly string[], handler: Handler = answers) => {
  await api?.close();
  api = await fakeApi(handler);
  const io = fakeIo({ env: api.env });
  const status = await runProgram(io, words);
  return { status, out: io.text(), err: io.errText() };
};

test("all pages as lines, and names of a container do nothing to the terminal", async () => {
  const { out, status } = await berth(["diff", "hello"]);
  expect(status).toBe(0);
  expect(out.split("\n").map((line) => line.slice(0, 7))).toEqual(["C /etc", "A /etc/", "D /etc/", ""]);
  expect(out).not.toContain("\u001b");
});

test("the document for programs, sizes when asked", async () => {
  const { out } = await berth(["diff", "hello", "-o", "json"]);
  expect(JSON.parse(out)).toEqual({ items: [...(pages[0]?.changes ?? []), ...(pages[1]?.changes ?? [])] });
  expect((await berth(["diff", "hello", "-o", "wide"])).out).toContain("2 KiB");
});

test("nothing changed, and a task that does not run: a sentence each", async () => {
  const none = await berth(["diff", "hello"], (request) =>
    request.path.endsWith("/changes") ? { json: { changes: [], next: null } } : answers(request),
  );
  expect([none.status, none.out, none.err]).toEqual([0, "", "hello has changed nothing of its image\n"]);
  const over = await berth(["diff", "hello"], (request) =>
    request.path.endsWith("/changes")
      ? { status: 409, json: problem("allocation.not_running", "it has ended") }
      : answers(request),
  );
  expect([over.status, over.out]).toEqual([75, ""]);
  expect(over.err).toContain("it has ended");
});
