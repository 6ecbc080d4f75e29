/** Which hosts a list of all of them asks, and what is said of the others. */
import { expect, test } from "vitest";
import { ok, type HostId } from "@berth/schema";
import type { ClusterState } from "../core/index.ts";
import { fromThese } from "./many-agents.ts";

const hostOf = (id: string, more: object) =>
  [id, { id, session: "s", state: "ready", inventory: {}, ...more }] as const;
const state = {
  hosts: new Map([
    hostOf("here", {}),
    hostOf("away", { state: "disconnected" }),
    hostOf("gone", { state: "lost" }),
    hostOf("new", { state: "enrolled", session: null, inventory: null }),
  ]),
} as unknown as ClusterState;
const ask = (host: HostId) => Promise.resolve(ok(`of ${host}`));

test("a list of all hosts names those that cannot be asked, but none that never came", async () => {
  const { found, silent } = await fromThese(state, undefined, ask);
  expect(found).toEqual([{ host: "here", value: "of here" }]);
  expect(silent).toMatchObject([
    { host: "away", problem: { code: "agent.unreachable", detail: expect.stringContaining("does not answer now") } },
    { host: "gone" },
  ]);
});

test("hosts that are named are asked, whatever is known of them", async () => {
  const { found, silent } = await fromThese(state, ["away" as HostId], ask);
  expect([found, silent]).toEqual([[{ host: "away", value: "of away" }], []]);
});
