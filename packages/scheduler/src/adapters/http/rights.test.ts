import { expect, test } from "vitest";
import { ROLES, Routes, type ProjectName } from "@berth/schema";
import { checkRights } from "./auth.ts";
import { changesOf, RIGHTS } from "./rights.ts";

test("every address has at least one method, and every right a role that exists", () => {
  for (const [name, methods] of Object.entries(RIGHTS)) {
    expect(Object.keys(Routes)).toContain(name);
    const rights = Object.values(methods);
    expect(rights.length, name).toBeGreaterThan(0);
    for (const right of rights) if (right !== "public") expect(ROLES).toContain(right.role);
  }
});

test("a route without an entry, with another method, or of the other kind cannot be registered", () => {
  const guarded = checkRights("guarded");
  guarded({ method: "GET", url: Routes.jobs });
  guarded({ method: ["HEAD"], url: Routes.jobs });
  expect(() => guarded({ method: "GET", url: "/v1/new" })).toThrow("GET /v1/new has no entry");
  expect(() => guarded({ method: "DELETE", url: Routes.jobs })).toThrow("DELETE /v1/jobs has no entry");
  expect(() => guarded({ method: "GET", url: Routes.livez })).toThrow("is not guarded");
  expect(() => checkRights("public")({ method: "GET", url: Routes.backup })).toThrow("is not public");
});

test("nobody but those who administer may touch tokens or take the cluster's secrets", () => {
  for (const name of ["backup", "access", "accessRevoke"] as const) {
    for (const right of Object.values(RIGHTS[name])) expect(right).toMatchObject({ role: "admin" });
  }
});

test("what a token may change is what the table says, and nothing of the whole cluster when it is bound", () => {
  expect(changesOf({ role: "viewer", projects: null })).toEqual([`POST ${Routes.tickets}`]);
  const bound = changesOf({ role: "operator", projects: ["web" as ProjectName] });
  expect(bound).toContain(`POST ${Routes.jobStop}`);
  expect(bound).not.toContain(`POST ${Routes.hostDrain}`);
  expect(changesOf({ role: "operator", projects: null })).toContain(`POST ${Routes.hostDrain}`);
  expect(changesOf({ role: "operator", projects: null })).not.toContain(`POST ${Routes.accessRevoke}`);
  expect(changesOf({ role: "admin", projects: null })).toContain(`POST ${Routes.accessRevoke}`);
});
