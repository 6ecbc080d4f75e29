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
  const status = await runProgram(io, ["access", ...words]);
  return { status, out: io.text(), err: io.errText() };
};

const view = {
  id: "abcdefghij",
  name: "ci",
  role: "submitter",
  projects: ["web", "api"],
  expiresAtMs: 1_000_000 + 3_600_000,
  createdBy: "admin",
  createdAtMs: 1,
};
const token = `berth.abcdefghij.${"A".repeat(43)}`;

test("create prints the token alone on stdout, so that it can go into a file", async () => {
  const handler = routes({ "POST /v1/access": { json: { token, access: view } } });
  const words = ["create", "ci", "--role", "submitter", "-p", "web", "-p", "api", "--ttl", "1h"];
  const { status, out, err } = await berth(handler, words);
  expect([status, out]).toEqual([0, `${token}\n`]);
  expect(err).toContain("ci is submitter, projects: web,api");
  expect(JSON.parse(api?.requests[0]?.body ?? "")).toEqual({
    name: "ci",
    role: "submitter",
    projects: ["web", "api"],
    ttl: "1h",
  });
});

test("create without a name or a role asks for it; a role that there is not is a mistake", async () => {
  for (const words of [
    ["create"],
    ["create", "ci"],
    ["create", "--role", "viewer"],
    ["create", "ci", "--role", "god"],
  ]) {
    expect((await berth(() => undefined, words)).status, words.join(" ")).toBe(64);
    expect(api?.requests).toEqual([]);
    await api?.close();
  }
});

test("ls, revoke and self", async () => {
  const self = { name: "ci", id: view.id, role: "viewer", projects: null, via: "token", expiresAtMs: null };
  const handler = routes({
    "GET /v1/access": {
      json: {
        items: [
          { ...view, lastUsedAtMs: null },
          { ...view, name: "all", projects: null, expiresAtMs: null },
        ],
      },
    },
    "POST /v1/access/ci/revoke": { json: { id: view.id, revision: 4 } },
    "GET /v1/access/self": { json: self },
  });
  expect((await berth(handler, ["ls"])).out).toMatchInlineSnapshot(`
    "NAME  ROLE       PROJECTS  EXPIRES  LAST USED  BY
    ci    submitter  web,api   in 1h    not here   admin
    all   submitter  all       never    -          admin
    "
  `);
  expect((await berth(handler, ["revoke", "ci"])).err).toContain("good no longer");
  expect((await berth(handler, ["self"])).out).toBe("ci is viewer, projects: all, expires: never\n");
});

test("what is not permitted says what to look at, and has a status of its own", async () => {
  const refused = problem("auth.forbidden", "this needs the role admin; ci has the role viewer");
  const { status, err } = await berth(() => ({ status: 403, json: refused }), ["ls"]);
  expect(status).toBe(77);
  expect(err).toContain("berth access self");
});
