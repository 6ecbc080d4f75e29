import { expect, test } from "vitest";
import { ROLES, Routes } from "@berth/schema";
import { checkRights } from "./auth.ts";
import { RIGHTS } from "./rights.ts";

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
