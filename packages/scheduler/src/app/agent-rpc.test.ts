/** One agent that never answers holds up requests to itself only. */
import { expect, test } from "vitest";
import { ok, type HostId, type Problem, type Result, type Signed } from "@berth/schema";
import type { ClusterState, HostRecord } from "../core/index.ts";
import type { AgentLine } from "../ports/bus.ts";
import { createAskAgent } from "./agent-rpc.ts";

const op = { kind: "images", offset: 0 } as const;
const ids = ["bad", ...Array.from({ length: 10 }, (_, at) => `good-${at}`)] as HostId[];
const bad = ids[0]!;

const clusterOf = () => {
  const hosts = new Map(ids.map((id) => [id, { id, session: "first", state: "ready" } as HostRecord]));
  const asked: { readonly host: HostId; readonly answer: () => void }[] = [];
  const sessions: string[] = [];
  const line = {
    ask: (host: HostId) =>
      new Promise<Result<unknown, Problem>>((resolve) => {
        asked.push({ host, answer: () => resolve(ok(host)) });
      }),
  } as unknown as AgentLine;
  const state = { hosts } as unknown as ClusterState;
  const askAgent = createAskAgent(state, line, (_host, session) => {
    sessions.push(session);
    return {} as Signed;
  });
  return { asked, askAgent, hosts, sessions, to: (host: HostId) => asked.filter((one) => one.host === host) };
};
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("requests to one that does not answer wait for each other, and for nobody else", async () => {
  const { asked, askAgent, to } = clusterOf();
  const late = Array.from({ length: 300 }, () => askAgent(bad, op));
  const others = ids.slice(1).flatMap((id) => Array.from({ length: 10 }, () => askAgent(id, op)));
  await settled();
  expect([to(bad).length, asked.length]).toEqual([64, 164]);
  for (const one of asked) if (one.host !== bad) one.answer();
  expect((await Promise.all(others)).every((answer) => answer.ok)).toBe(true);
  for (let at = 0; at < 300; at += 1) {
    to(bad)[at]!.answer();
    await settled();
  }
  expect((await Promise.all(late)).every((answer) => answer.ok)).toBe(true);
});

test("more than can be asked at a time wait for their turn, and then ask the session that the host has by then", async () => {
  const { asked, askAgent, hosts, sessions } = clusterOf();
  const five = ids.slice(0, 5);
  const all = Array.from({ length: 60 }, () => five.map((id) => askAgent(id, op))).flat();
  await settled();
  expect(sessions).toEqual(Array.from({ length: 256 }, () => "first"));
  for (const [id, host] of hosts) hosts.set(id, { ...host, session: "second" });
  hosts.delete(bad);
  for (const one of asked.splice(0)) one.answer();
  await settled();
  expect(asked.map(({ host }) => host)).not.toContain(bad);
  expect(sessions.slice(256)).toEqual(Array.from({ length: 36 }, () => "second"));
  for (const one of asked) one.answer();
  const refused = (await Promise.all(all)).flatMap((answer) => (answer.ok ? [] : [answer.error.code]));
  expect(refused).toEqual(Array.from({ length: 8 }, () => "host.not_found"));
});
