import { afterEach, expect, test } from "vitest";
import { runProgram } from "../program.ts";
import { fakeApi, type FakeApi, type Handler } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";

let api: FakeApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

const entry = (sequence: number, more: Record<string, unknown> = {}) => ({
  sequence,
  part: 0,
  atMs: 1_700_000_000_000,
  kind: "host_draining",
  message: "gives away what it runs",
  project: null,
  job: null,
  host: "h1",
  cause: "drain",
  origin: { who: "ops", via: "token", from: "10.0.0.7" },
  result: "done",
  code: null,
  ...more,
});
const refused = { kind: "request_refused", message: "POST x was refused", result: "refused", code: "auth.forbidden" };

const start = async (handler: Handler) => {
  api = await fakeApi(handler);
  return fakeIo({ env: api.env });
};
const list = (items: unknown[], next: number | null = null) => ({ status: 200, json: { items, next, revision: 9 } });

test("a table of the newest, with who, from where and what came of it", async () => {
  const io = await start(() => list([entry(4), entry(5, refused)]));
  expect(await runProgram(io, ["audit", "--job", "media/x", "--result", "refused"])).toBe(0);
  const lines = io.text().trim().split("\n");
  expect(lines).toHaveLength(3);
  expect(lines[1]).toMatch(/^2023-11-14T22:13:20Z .* ops .* 10\.0\.0\.7 .* h1 .* done/);
  expect(lines[2]).toContain("refused: auth.forbidden");
  expect(Object.fromEntries(api?.requests[0]?.query ?? [])).toEqual({
    project: "media",
    job: "x",
    result: "refused",
    tail: "50",
  });
});

test("--since reads page after page", async () => {
  const io = await start((request) => (request.query.get("since") === "0" ? list([entry(1)], 1) : list([entry(2)])));
  expect(await runProgram(io, ["audit", "--since", "0", "-o", "json"])).toBe(0);
  const printed = JSON.parse(io.text()) as { items: { sequence: number }[] };
  expect(printed.items.map(({ sequence }) => sequence)).toEqual([1, 2]);
  expect(api?.requests.map(({ query }) => query.get("since"))).toEqual(["0", "1"]);
});

test("nothing that fits is said so", async () => {
  const io = await start(() => list([]));
  expect(await runProgram(io, ["audit"])).toBe(0);
  expect(io.errText()).toContain("Nobody has changed anything");
});
