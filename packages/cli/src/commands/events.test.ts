import { afterEach, expect, test } from "vitest";
import { problem } from "@berth/schema";
import { runProgram } from "../program.ts";
import { fakeApi, raw, type FakeApi, type Handler } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";

let api: FakeApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

const event = (sequence: number, part = 0, more: Record<string, unknown> = {}) => ({
  sequence,
  part,
  atMs: 1_700_000_000_000,
  kind: "allocation_placed",
  message: "attempt 1 on h1",
  project: "default",
  job: "hello",
  index: 2,
  allocation: null,
  host: "h1",
  cause: "evaluation",
  origin: null,
  ...more,
});

const data = (...events: unknown[]): string => events.map((one) => `data: ${JSON.stringify(one)}\n\n`).join("");

/** An answer that ends in order, or is cut off. */
const stream = (text: string, cut = false) =>
  raw((response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(text, () => (cut ? response.destroy() : response.end()));
  });

const start = async (handler: Handler) => {
  api = await fakeApi(handler);
  return fakeIo({ env: api.env });
};

test("one line an event, with its subject and who asked for it", async () => {
  const submitted = {
    kind: "job_submitted",
    message: "version 1\u001b[2J",
    index: null,
    host: null,
    origin: { who: "admin", via: "token", from: "127.0.0.1" },
  };
  const io = await start(() => stream(`: at 3\n\n${data(event(4, 0, submitted), event(5))}`));
  expect(await runProgram(io, ["events", "--project", "default"])).toBe(0);
  expect(io.text()).toMatchInlineSnapshot(`
    "2023-11-14T22:13:20Z      4  default/hello            job_submitted       version 1␛[2J (by admin)
    2023-11-14T22:13:20Z      5  default/hello[2]         allocation_placed   attempt 1 on h1
    "
  `);
  expect(Object.fromEntries(api?.requests[0]?.query ?? [])).toEqual({
    project: "default",
    tail: "50",
    follow: "false",
  });
});

test("a cut connection goes on behind what was read whole, and nothing is printed twice", async () => {
  const answers = [
    stream(`: at 9\n\n${data(event(10), event(11))}`, true),
    stream(data(event(11), event(11, 1)), true),
    stream(`: at 11\n\n`, true),
  ];
  const io = await start((request) => {
    const answer = answers[(api?.requests.length ?? 1) - 1];
    if (answer !== undefined) return answer;
    expect(request.query.get("since")).toBe("11");
    return { status: 410, json: problem("events.gone", "it was cut", { oldestSequence: 20 }) };
  });
  expect(await runProgram(io, ["events", "-f", "--json", "--job", "media/hello"])).toBe(66);
  const printed = io
    .text()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { sequence: number; part: number });
  expect(printed.map(({ sequence, part }) => [sequence, part])).toEqual([
    [10, 0],
    [11, 0],
    [11, 1],
  ]);
  expect(api?.requests.map(({ query }) => [query.get("tail"), query.get("since"), query.get("project")])).toEqual([
    ["50", null, "media"],
    [null, "10", "media"],
    [null, "10", "media"],
    [null, "11", "media"],
  ]);
  expect(io.errText()).toContain("it was cut");
});

test("what is not a stream of events is an error that says so", async () => {
  const io = await start(() => stream("data: no json\n\n"));
  expect(await runProgram(io, ["events"])).toBe(69);
});
