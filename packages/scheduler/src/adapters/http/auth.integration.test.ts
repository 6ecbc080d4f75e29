/** Who gets in: every route of the route table without a token, with a wrong one, with a session, from a foreign page. */
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Routes, routePath } from "@berth/schema";
import { answerOf, batch, startScheduler, type TestScheduler } from "../../testing/scheduler.ts";

let scheduler: TestScheduler;
beforeAll(async () => {
  scheduler = await startScheduler();
});

const values = {
  project: "default",
  job: "a",
  volume: "v",
  secret: "s",
  snapshot: "s",
  index: 0,
  host: "h",
  allocation: "alloc_06f0000000000000000000000a",
  token: "abcdefghij",
  access: "abcdefghij",
  operation: "operation-0000000001",
  "*": "x",
};
const PUBLIC = new Set<string>([Routes.livez, Routes.readyz, Routes.login]);
/** Asks for a join token instead, see below. */
const FOR_MACHINES = new Set<string>([Routes.join]);
const { hostCordon, hostDrain, hostRemove, hostUncordon, jobStop, rebalancePlan, tickets, whatIf } = Routes;
const { imageData, imageOperationCancel, imageOperations, joinTokenRevoke, volumeCopies, volumeRemove } = Routes;
const ONLY_POSTED = new Set<string>([
  ...[tickets, jobStop, hostCordon, hostUncordon, hostDrain, hostRemove, rebalancePlan, joinTokenRevoke, whatIf],
  ...[imageOperationCancel, imageData, volumeCopies, volumeRemove, Routes.accessRevoke],
  ...[Routes.allocationPause, Routes.allocationResume, Routes.allocationCommit, Routes.layerRemove],
  ...[Routes.projectSet, Routes.projectRemove, Routes.secret, Routes.secretRemove],
  ...[Routes.allocationSnapshots, Routes.snapshotRestore, Routes.snapshotClone, Routes.snapshotRemove],
  ...[Routes.volumeData, Routes.imageNames],
]);
const POSTED = new Set<string>([
  ...[Routes.jobs, Routes.hosts, Routes.joinTokens, Routes.volumes, Routes.access, Routes.projects],
  imageOperations,
  ...ONLY_POSTED,
]);
const guarded = Object.values(Routes)
  .filter((route) => !PUBLIC.has(route) && !FOR_MACHINES.has(route))
  .flatMap((route) => [
    ...(ONLY_POSTED.has(route) ? [] : [["GET", route] as const]),
    ...(POSTED.has(route) ? [["POST", route] as const] : []),
  ]);

const bare = (method: string, path: string, headers: Record<string, string> = {}) =>
  fetch(scheduler.url + path, { method, headers, redirect: "manual" }).then(answerOf);

const logIn = async (): Promise<string> => {
  const { body } = await scheduler.call("POST", Routes.tickets);
  const answer = await bare("GET", `${Routes.login}?ticket=${body.ticket}`);
  expect(answer.status).toBe(303);
  expect(answer.headers.get("location")).toBe("/");
  const cookie = answer.headers.get("set-cookie") ?? "";
  expect(cookie).toMatch(/^berth_session_[0-9a-f]{8}=[^;]+; .*HttpOnly/);
  expect(cookie).toContain("SameSite=Strict");
  expect(cookie).toContain("Path=/");
  return cookie.split(";")[0] ?? "";
};

describe("every guarded route", () => {
  test.each(guarded)("%s %s refuses whoever has no token", async (method, route) => {
    const path = routePath(route, values);
    for (const headers of [
      {},
      { authorization: "Bearer" },
      { authorization: "Bearer wrong" },
      { authorization: `Basic ${Buffer.from(`admin:${scheduler.token}`).toString("base64")}` },
      { cookie: "berth_session_00000000=1.admin.a.b" },
    ] as Record<string, string>[]) {
      const answer = await bare(method, path, headers);
      expect(answer.status, `${method} ${path} ${JSON.stringify(headers)}`).toBe(401);
      expect(answer.body.code).toBe("auth.required");
      expect(answer.headers.get("www-authenticate")).toContain("Bearer");
    }
  });

  test.each(guarded)("%s %s lets the token in", async (method, route) => {
    // Events go on for ever, unless told not to.
    const query = route === Routes.events ? "?follow=false" : "";
    const answer = await scheduler.call(method, routePath(route, values) + query);
    expect([401, 403]).not.toContain(answer.status);
  });
});

test("public routes need nothing, and every answer has the security headers", async () => {
  for (const route of PUBLIC) {
    const answer = await bare("GET", route);
    expect(answer.status === 401 ? answer.body.code : "open", route).toBe("open");
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(answer.headers.get("content-security-policy")).not.toContain("unsafe");
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("x-frame-options")).toBe("DENY");
  }
});

test("joining needs a join token, and neither needs nor takes the token of the API for one", async () => {
  const post = (token: string, headers: Record<string, string> = {}) =>
    fetch(scheduler.url + Routes.join, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ token, host: "h", publicKey: `U${"A".repeat(55)}` }),
    }).then(answerOf);
  const unknown = `abcdefghij.${"A".repeat(43)}`;
  expect((await post(unknown)).body.code).toBe("join.refused");
  expect((await post(unknown, { authorization: `Bearer ${scheduler.token}` })).body.code).toBe("join.refused");
  expect((await post(scheduler.token)).body.code).toBe("request.invalid");
});

describe("a session", () => {
  test("comes from a ticket that works once, and reads and writes from its own origin", async () => {
    const { body } = await scheduler.call("POST", Routes.tickets);
    expect(body.expiresInMs).toBeGreaterThan(0);
    expect((await bare("GET", `${Routes.login}?ticket=${body.ticket}`)).status).toBe(303);
    expect((await bare("GET", `${Routes.login}?ticket=${body.ticket}`)).status).toBe(401);

    const cookie = await logIn();
    expect((await bare("GET", Routes.jobs, { cookie })).status).toBe(200);
    const post = (headers: Record<string, string>) =>
      fetch(scheduler.url + Routes.jobs, {
        method: "POST",
        headers: { cookie, "content-type": "application/json", ...headers },
        body: JSON.stringify(batch("by-session")),
      }).then(answerOf);
    expect((await post({ origin: scheduler.url })).status).toBe(201);
    expect((await post({ origin: "https://evil.example" })).body.code).toBe("auth.forbidden");
    expect((await post({ origin: "null" })).body.code).toBe("auth.forbidden");
  });

  test("cannot make tickets, and a forged or changed one is none", async () => {
    const cookie = await logIn();
    expect((await bare("POST", Routes.tickets, { cookie })).body.code).toBe("auth.forbidden");
    const [name, value] = cookie.split("=") as [string, string];
    const parts = value.split(".");
    for (const forged of [
      `${Number(parts[0]) + 1}.${parts.slice(1).join(".")}`,
      `${parts[0]}.abcdefghij.${parts[2]}.${parts[3]}`,
      `${parts.slice(0, 3).join(".")}.`,
      parts.slice(0, 3).join("."),
      "",
      "x".repeat(5_000),
    ]) {
      expect((await bare("GET", Routes.jobs, { cookie: `${name}=${forged}` })).status, forged.slice(0, 40)).toBe(401);
    }
  });
});

describe("the live feed", () => {
  const upgrade = (headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(scheduler.url.replace("http", "ws") + Routes.watch, { headers });
      socket.on("open", () => {
        socket.terminate();
        resolve(101);
      });
      socket.on("unexpected-response", (_request, response) => resolve(response.statusCode ?? 0));
      socket.on("error", reject);
    });

  test("checks token, session and origin before the upgrade", async () => {
    const cookie = await logIn();
    expect(await upgrade({})).toBe(401);
    expect(await upgrade({ authorization: "Bearer wrong" })).toBe(401);
    expect(await upgrade({ authorization: `Bearer ${scheduler.token}` })).toBe(101);
    expect(await upgrade({ cookie, origin: scheduler.url })).toBe(101);
    expect(await upgrade({ cookie, origin: "https://evil.example" })).toBe(403);
  });
});
