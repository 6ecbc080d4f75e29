/** A token lets one machine in, once, in its time; what the log says of it survives a snapshot. */
import { expect, test } from "vitest";
import type { HostId, LogRecord } from "@berth/schema";
import {
  createState,
  decideJoin,
  decideJoinToken,
  decideRevokeJoinToken,
  fold,
  imageOf,
  restoreImage,
  type ClusterState,
} from "./index.ts";
import { MAX_JOIN_TOKENS } from "./join-tokens.ts";

const HOUR = 3_600_000;
const KEY = `U${"A".repeat(55)}`;
const OTHER_KEY = `U${"B".repeat(55)}`;
const host = (id: string): HostId => id as HostId;
const digest = (of: string): string => of.repeat(64).slice(0, 64);

const cluster = () => {
  const state = createState();
  return {
    state,
    append: (records: readonly LogRecord[], atMs = 0): void => {
      if (records.length === 0) return;
      fold(state, state.revision + 1, {
        version: 2,
        epoch: state.epoch,
        atMs,
        cause: "test",
        origin: null,
        records: [...records],
      });
    },
  };
};

const make = (id: string, more: { readonly hostId?: HostId; readonly expiresAtMs?: number } = {}) => ({
  id,
  digest: digest("a"),
  hostId: more.hostId ?? null,
  expiresAtMs: more.expiresAtMs ?? HOUR,
  by: "admin",
});

const open = (
  state: ClusterState,
  append: (records: readonly LogRecord[], atMs?: number) => void,
  token = make("t1"),
) => {
  const decided = decideJoinToken(state, token, 0);
  if (!decided.ok) throw new Error(decided.error.detail);
  append(decided.value);
};
const joining = (more: Partial<Parameters<typeof decideJoin>[1]> = {}) => ({
  token: "t1",
  digest: digest("a"),
  hostId: host("h1"),
  publicKey: KEY,
  ...more,
});

test("the host and the use of its token are written together; the same key may ask again, no other", () => {
  const { state, append } = cluster();
  open(state, append);
  const decided = decideJoin(state, joining(), 1);
  expect(decided).toMatchObject({
    ok: true,
    value: [{ kind: "host_enrolled" }, { kind: "join_token_used", id: "t1" }],
  });
  if (decided.ok) append(decided.value);
  expect(state.hosts.get(host("h1"))?.publicKey).toBe(KEY);
  expect(decideJoin(state, joining(), 100 * HOUR)).toEqual({ ok: true, value: [] });
  for (const other of [{ publicKey: OTHER_KEY }, { hostId: host("h2") }]) {
    expect(decideJoin(state, joining(other), 1)).toMatchObject({ ok: false, error: { code: "join.refused" } });
  }
  append([{ kind: "host_removed", hostId: host("h1"), by: "admin" }]);
  expect(decideJoin(state, joining(), 1), "a removed host needs a new token").toMatchObject({ ok: false });
});

test("a wrong secret, an expired token, another name and a taken name are refused", () => {
  const { state, append } = cluster();
  open(state, append, make("t1", { hostId: host("h1"), expiresAtMs: 10 }));
  const code = (of: Parameters<typeof decideJoin>[1], atMs = 1) => {
    const decided = decideJoin(state, of, atMs);
    return decided.ok ? "ok" : decided.error.code;
  };
  expect(code(joining({ digest: digest("b") }))).toBe("join.refused");
  expect(code(joining({ token: "t2" }))).toBe("join.refused");
  expect(code(joining(), 10)).toBe("join.refused");
  expect(code(joining({ hostId: host("h2") }))).toBe("join.refused");
  append([{ kind: "host_enrolled", hostId: host("h1"), publicKey: OTHER_KEY, by: "admin" }]);
  expect(code(joining())).toBe("host.key_differs");
});

test("tokens are revoked once, forgotten a day after their end, and bounded in number", () => {
  const { state, append } = cluster();
  open(state, append);
  const revoked = decideRevokeJoinToken(state, "t1", "admin");
  expect(revoked.ok).toBe(true);
  if (revoked.ok) append(revoked.value);
  expect(decideJoin(state, joining(), 1)).toMatchObject({ ok: false });
  expect(decideRevokeJoinToken(state, "t1", "admin")).toMatchObject({
    ok: false,
    error: { code: "join_token.not_found" },
  });

  append([{ kind: "join_token_created", ...make("old") }]);
  append([{ kind: "join_token_created", ...make("new", { expiresAtMs: 30 * HOUR }) }], 26 * HOUR);
  expect(state.joinTokens.map(({ id }) => id)).toEqual(["new"]);

  for (let at = 0; at < MAX_JOIN_TOKENS + 5; at += 1) append([{ kind: "join_token_created", ...make(`n${at}`) }]);
  expect(state.joinTokens).toHaveLength(MAX_JOIN_TOKENS);
  expect(decideJoinToken(state, make("more"), 0)).toMatchObject({ ok: false, error: { code: "request.too_many" } });
});

test("a snapshot keeps tokens; one from before there were any has none", () => {
  const { state, append } = cluster();
  open(state, append);
  const lines = JSON.parse(JSON.stringify([...imageOf(state)])) as ReturnType<typeof imageOf> extends Generator<infer L>
    ? L[]
    : never;
  const restored = createState();
  restoreImage(restored, lines);
  expect(restored.joinTokens).toEqual(state.joinTokens);
  for (const line of lines) if (line.kind === "state") delete (line.facts as { joinTokens?: unknown }).joinTokens;
  const old = createState();
  restoreImage(old, lines);
  expect(old.joinTokens).toEqual([]);
});
