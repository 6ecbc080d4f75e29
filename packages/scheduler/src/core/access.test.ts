import { describe, expect, test } from "vitest";
import { LOG_VERSION, ROLES, type LogRecord, type Origin, type ProjectName, type Role } from "@berth/schema";
import { accessOf, decideAccess, decideRevokeAccess, refusalAtWrite, refusalOf, type NewAccess } from "./access.ts";
import { imageOf, restoreImage } from "./image.ts";
import { createState } from "./state.ts";
import { fold } from "./fold.ts";

const web = "web" as ProjectName;
const media = "media" as ProjectName;

const draft = (more: Partial<NewAccess> = {}): NewAccess => ({
  id: "abcdefghij",
  name: "ci",
  digest: "0".repeat(64),
  role: "submitter",
  projects: [web],
  expiresAtMs: null,
  by: "admin",
  ...more,
});

const world = () => {
  const state = createState();
  const write = (records: readonly LogRecord[], atMs = 1): number =>
    fold(state, state.revision + 1, {
      version: LOG_VERSION,
      epoch: state.epoch,
      atMs,
      cause: "test",
      origin: null,
      records: [...records],
    }).ignored;
  const make = (more: Partial<NewAccess> = {}, nowMs = 1) => {
    const decided = decideAccess(state, draft(more), nowMs);
    if (decided.ok) expect(write(decided.value, nowMs)).toBe(0);
    return decided;
  };
  return { state, write, make };
};

const by = (access?: string): Origin => ({
  who: "x",
  via: "token",
  from: "::1",
  ...(access === undefined ? {} : { access }),
});

describe("rights", () => {
  test("each role may what those before it may, and nothing else", () => {
    for (const [has, role] of ROLES.entries()) {
      for (const [needed, need] of ROLES.entries()) {
        const refused = refusalOf({ name: "x", role, projects: null }, { role: need });
        expect(refused === undefined, `${role} for ${need}`).toBe(has >= needed);
      }
    }
  });

  test("bound to projects: those, reading what is everybody's, and no change of it", () => {
    for (const role of ["submitter", "operator"] as Role[]) {
      const bound = { name: "x", role, projects: [web] };
      expect(refusalOf(bound, { role: "submitter", project: web })).toBeUndefined();
      expect(refusalOf(bound, { role: "submitter", project: media })?.detail).toContain("not in media");
      expect(refusalOf(bound, { role: "viewer", project: media })?.code).toBe("auth.forbidden");
      expect(refusalOf(bound, { role: "viewer" })).toBeUndefined();
      expect(refusalOf(bound, { role: "submitter" })?.detail).toContain("bound to web");
      expect(refusalOf(bound, { role: "operator" })?.code).toBe("auth.forbidden");
    }
  });

  test("at the write they are those of the token as it is then", () => {
    const { state, make, write } = world();
    make({ expiresAtMs: 1_000 });
    const need = { role: "submitter", project: web } as const;
    expect(refusalAtWrite(state, by(), { role: "admin" }, 5)).toBeUndefined();
    expect(refusalAtWrite(state, by("abcdefghij"), need, 5)).toBeUndefined();
    expect(refusalAtWrite(state, by("abcdefghij"), { role: "operator" }, 5)?.code).toBe("auth.forbidden");
    expect(refusalAtWrite(state, by("abcdefghij"), need, 1_000)?.code).toBe("auth.required");
    expect(refusalAtWrite(state, by("bbbbbbbbbb"), need, 5)?.code).toBe("auth.required");
    write([{ kind: "access_revoked", id: "abcdefghij", name: "ci", by: "admin" }]);
    expect(refusalAtWrite(state, by("abcdefghij"), need, 5)?.code).toBe("auth.required");
  });
});

describe("tokens", () => {
  test("have names of their own; saying the same twice changes nothing", () => {
    const { state, make } = world();
    expect(make().ok).toBe(true);
    expect(make()).toEqual({ ok: true, value: [] });
    expect(make({ id: "bbbbbbbbbb", digest: "1".repeat(64) })).toMatchObject({ error: { code: "access.exists" } });
    expect(make({ id: "bbbbbbbbbb", name: "admin" })).toMatchObject({ error: { code: "access.exists" } });
    expect(make({ id: "bbbbbbbbbb", name: "boss", role: "admin" })).toMatchObject({
      error: { code: "request.invalid", errors: [{ pointer: "/projects" }] },
    });
    expect(state.access).toHaveLength(1);
  });

  test("that have expired free their name, and are forgotten with the next one", () => {
    const { state, make } = world();
    make({ expiresAtMs: 100 });
    expect(accessOf(state, "abcdefghij", 99)).toBeDefined();
    expect(accessOf(state, "abcdefghij", 100)).toBeUndefined();
    expect(make({ id: "bbbbbbbbbb", digest: "1".repeat(64) }, 100).ok).toBe(true);
    expect(state.access.map(({ id }) => id)).toEqual(["bbbbbbbbbb"]);
  });

  test("are revoked by id or name; one that is not there is a problem", () => {
    const { state, make, write } = world();
    make();
    const decided = decideRevokeAccess(state, "ci", "admin");
    expect(decideRevokeAccess(state, "abcdefghij", "admin")).toEqual(decided);
    if (decided.ok) write(decided.value.records);
    expect(state.access).toEqual([]);
    expect(decideRevokeAccess(state, "ci", "admin")).toMatchObject({ error: { code: "access.not_found" } });
  });

  test("are in a snapshot, and an older snapshot has none", () => {
    const { state, make } = world();
    make();
    const restored = createState();
    restoreImage(restored, [...imageOf(state)]);
    expect(restored.access).toEqual(state.access);
    const old = [...imageOf(state)].map((line) => {
      if (line.kind !== "state") return line;
      const { access: _access, ...facts } = line.facts;
      return { ...line, facts } as typeof line;
    });
    restoreImage(restored, old);
    expect(restored.access).toEqual([]);
  });
});
