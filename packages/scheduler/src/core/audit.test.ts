import { expect, test } from "vitest";
import {
  LOG_VERSION,
  MAX_AUDIT_CHANGES,
  MAX_AUDIT_REFUSALS,
  type HostId,
  type LogRecord,
  type Origin,
  type RequestRecord,
} from "@berth/schema";
import { auditPage, decideNote } from "./audit.ts";
import { fold } from "./fold.ts";
import { imageOf, restoreImage } from "./image.ts";
import { createState } from "./state.ts";

const origin: Origin = { who: "ci", via: "token", from: "10.0.0.7" };
const made = (host = "h1"): RequestRecord => ({
  kind: "request_made",
  request: "POST /v1/x",
  project: null,
  job: null,
  host: host as HostId,
});
const refused = (): RequestRecord => ({ ...made(), kind: "request_refused", code: "auth.forbidden" });

const world = () => {
  const state = createState();
  const write = (records: readonly LogRecord[], by: Origin | null = origin, cause = "test"): number => {
    fold(state, state.revision + 1, {
      version: LOG_VERSION,
      epoch: state.epoch,
      atMs: 1,
      cause,
      origin: by,
      records: [...records],
    });
    return state.revision;
  };
  const page = (more: { since?: number; tail?: number; limit?: number; wants?: (kind: string) => boolean } = {}) => {
    const { since, tail, limit = 100, wants = () => true } = more;
    const found = auditPage(state, { since, tail, limit, wants: ({ kind }) => wants(kind) });
    if (!found.ok) throw new Error(found.error.code);
    return found.value;
  };
  return { state, write, page };
};

test("what nobody asked for is no entry; changes and refusals come in the order of the log", () => {
  const { write, page } = world();
  write([made()]);
  write([{ kind: "leader_confirmed" }], null);
  write([refused()]);
  write([made()]);
  expect(page().items.map(({ sequence, kind, result, code }) => [sequence, kind, result, code])).toEqual([
    [1, "request_made", "done", null],
    [3, "request_refused", "refused", "auth.forbidden"],
    [4, "request_made", "done", null],
  ]);
  expect(page({ tail: 2 }).items.map(({ sequence }) => sequence)).toEqual([3, 4]);
});

test("pages follow each other without a gap and split no transaction", () => {
  const { write, page } = world();
  write([made("a"), made("b"), made("c")]);
  write([refused()]);
  write([made("d")]);
  const first = page({ limit: 2 });
  expect(first.items.map(({ host, part }) => [host, part])).toEqual([
    ["a", 0],
    ["b", 1],
    ["c", 2],
  ]);
  expect(first.next).toBe(1);
  const second = page({ limit: 1, since: 1 });
  expect([second.items.length, second.next]).toEqual([1, 2]);
  expect(page({ limit: 1, since: 2 })).toMatchObject({ items: [{ host: "d" }], next: null, revision: 3 });
  // Nothing more that fits is no next page.
  expect(page({ limit: 1, wants: (kind) => kind === "request_refused" }).next).toBeNull();
});

test("both lists are bounded, refusals wash no change away, and who resumes behind the cut is told", () => {
  const { state, write, page } = world();
  write([made("first")]);
  for (let at = 0; at < MAX_AUDIT_REFUSALS * 2; at += 1) write([refused()]);
  expect(page({ limit: 1 }).items[0]?.host).toBe("first");
  expect(page({ limit: 1, since: 0 }).items[0]?.host).toBe("first");
  expect(state.audit.refusals.length).toBeLessThanOrEqual(MAX_AUDIT_REFUSALS * 1.25);
  for (let at = 0; at < MAX_AUDIT_CHANGES * 1.3; at += 1) write([made()]);
  expect(state.audit.changes.length).toBeLessThanOrEqual(MAX_AUDIT_CHANGES * 1.25);
  const gone = auditPage(state, { since: 1, tail: undefined, limit: 10, wants: () => true });
  expect(gone).toMatchObject({ ok: false, error: { code: "events.gone" } });
  expect(page({ since: state.audit.droppedUpTo }).items[0]?.sequence).toBeGreaterThan(state.audit.droppedUpTo);
});

test("a snapshot holds the trail", () => {
  const { state, write, page } = world();
  for (let at = 0; at < 1_200; at += 1) write([at % 3 === 0 ? refused() : made()]);
  const other = createState();
  restoreImage(other, JSON.parse(JSON.stringify([...imageOf(state)])));
  expect(auditPage(other, { since: undefined, tail: undefined, limit: 2_000, wants: () => true })).toEqual({
    ok: true,
    value: page({ limit: 2_000 }),
  });
});

test("a note that is passed on twice is written once", () => {
  const { state, write } = world();
  expect(decideNote(state, "request a", made())).toEqual([made()]);
  write([made()], origin, "request a");
  expect(decideNote(state, "request a", made())).toEqual([]);
  expect(decideNote(state, "request b", made())).toEqual([made()]);
});
