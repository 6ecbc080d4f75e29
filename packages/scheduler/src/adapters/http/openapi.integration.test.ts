/** The description of the API: every address of the route table is in it, with what it takes and gives. */
import { expect, test } from "vitest";
import { Routes } from "@berth/schema";
import { startScheduler } from "../../testing/scheduler.ts";

test("OpenAPI 3.1 with every route, its parameters and its problems", async () => {
  const scheduler = await startScheduler();
  const { status, body } = await scheduler.call("GET", Routes.openapi);
  expect(status).toBe(200);
  expect(body.openapi).toBe("3.1.0");
  const paths = new Set(Object.keys(body.paths as object));
  const described = Object.values(Routes)
    .filter((route) => route !== Routes.openapi)
    .map((route) => route.replaceAll(/:([a-zA-Z]+)/g, "{$1}").replace("*", "{*}"));
  expect(described.filter((path) => !paths.has(path))).toEqual([]);
  const submit = body.paths["/v1/jobs"].post;
  expect(submit.requestBody.content["application/json"].schema.properties.name).toBeDefined();
  expect(Object.keys(submit.responses as object)).toEqual(expect.arrayContaining(["200", "201", "4XX", "5XX"]));
  expect(submit.parameters).toEqual([expect.objectContaining({ name: "dryRun", in: "query" })]);
  const logs = body.paths["/v1/allocations/{allocation}/logs"].get;
  expect(logs.responses["200"].content["text/plain"]).toBeDefined();
  expect(body.components.securitySchemes.token).toEqual({ type: "http", scheme: "bearer" });
});

test("HEAD works like GET, but never uses a ticket up", async () => {
  const scheduler = await startScheduler();
  const { body } = await scheduler.call("POST", Routes.tickets);
  expect((await scheduler.call("HEAD", `${Routes.login}?ticket=${body.ticket}`)).status).toBe(404);
  expect((await scheduler.call("GET", `${Routes.login}?ticket=${body.ticket}`)).status).toBe(303);
  expect((await scheduler.call("HEAD", Routes.jobs)).status).toBe(200);
});
