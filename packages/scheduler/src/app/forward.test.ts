/** Two schedulers on one log in memory, and a line between them that loses answers: what a follower passes on is done once. */
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { ok, type HostId, type LogRecord, type Origin, type ProjectName } from "@berth/schema";
import type { Announcement, PeerLine } from "../ports/bus.ts";
import { memoryLog } from "../testing/memory-log.ts";
import { eventually } from "../testing/temp.ts";
import { createAccessWrites } from "./access.ts";
import type { Api } from "./api.ts";
import { systemClock } from "./clock.ts";
import { createEngine, type Engine } from "./engine.ts";
import { createForwarding } from "./forward.ts";
import { createHostDuties } from "./host-duties.ts";
import { createJoining } from "./joining.ts";
import { createProjects } from "./projects.ts";
import { createSecrets } from "./secrets.ts";
import { volumeKey } from "../core/index.ts";
import { createVolumes } from "./volumes.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const DEFAULT = "default" as ProjectName;
const HOST = "h1" as HostId;
const origin: Origin = { who: "admin", via: "token", from: "127.0.0.1" };
const admission = { urls: [], ca: null, admit: async () => {} };

/** What of the API needs nothing but an engine. */
const apiOf = (engine: Engine): Api => {
  const clock = systemClock();
  const some: Partial<Api> = {
    ...createHostDuties({ engine, admission, clock, view: () => ok({} as never) }),
    ...createProjects({ engine, clock }),
    ...createSecrets({
      engine,
      vault: { encrypt: () => ({ nonce: "", data: "" }), decrypt: () => undefined } as never,
    }),
    ...createAccessWrites({ engine, clock, lastUsed: { of: () => null } as never }),
    ...createJoining({ engine, admission, clock, cluster: "test", clusterKey: "" }),
    ...createVolumes({
      engine,
      askAgent: async () => ok(null),
      pause: async () => {},
    }),
  };
  return some as Api;
};

const start = async () => {
  const log = memoryLog();
  const announced: ((announcement: Announcement) => void)[] = [];
  const handlers: Parameters<PeerLine["serve"]>[0][] = [];
  let losing = 0;
  const peers: PeerLine = {
    serve: (handler) => void handlers.push(handler),
    ask: async (request) => {
      // As on the bus: it goes through JSON, all hear it, and who leads answers.
      const answers = await Promise.all(handlers.map((handler) => handler(JSON.parse(JSON.stringify(request)))));
      const answer = answers.find((one) => one !== undefined);
      if (answer === undefined || losing > 0) losing -= 1;
      else return JSON.parse(JSON.stringify(answer)) as typeof answer;
      return undefined;
    },
  };
  const instances: { readonly engine: Engine; readonly api: Api }[] = [];
  for (const instance of ["one", "two"]) {
    const clock = systemClock();
    const engine = createEngine({
      restore: async () => {},
      checkState: () => {},
      claimRecords: () => [],
      ...{ instance, log, clock, leaseMs: 500 },
      line: { isUp: () => true, onChange: () => () => {}, roundTrip: async () => {} },
      leaders: {
        announce: (announcement) => announced.forEach((listener) => listener(announcement)),
        onAnnouncement: (handler) => void announced.push(handler),
      },
      logger: pino({ level: "silent" }),
      checkEnd: () => {},
      background: async () => false,
    });
    const ending = new AbortController();
    const running = engine.run(ending.signal).catch(() => {});
    stops.push(async () => {
      ending.abort();
      await running;
    });
    instances.push({ engine, api: createForwarding({ engine, peers, clock, local: apiOf(engine) }) });
  }
  const leader = await eventually("one leads", () => instances.find(({ engine }) => engine.role() === "leading"));
  const follower = instances.find((one) => one !== leader);
  if (follower === undefined) throw new Error("nobody follows");
  await eventually("the other hears it", () => follower.engine.othersLead());
  return {
    log,
    leader,
    api: follower.api,
    /** Its answers are lost, so often. */
    lose: (times: number) => {
      losing = times;
    },
  };
};

const publicKey = `U${"A".repeat(55)}`;
const digest = "0".repeat(64);

test("what was done and whose answer was lost is done once, and answered as the first time", async () => {
  const { api, leader, log, lose } = await start();
  const { engine } = leader;
  const done = await engine.submit({
    cause: "test",
    splittable: false,
    decide: () =>
      ok({
        records: [
          { kind: "host_enrolled", hostId: HOST, publicKey, by: "test" },
          ...(["gone", "kept"] as const).map(
            (volume) =>
              ({
                ...{ kind: "volume_created", project: DEFAULT, volume, hostId: HOST, sizeBytes: 0, by: "test" },
                ...{ readOnly: false, state: "ready", from: null },
              }) as never,
          ),
        ],
        value: null,
      }),
  });
  expect(done.ok, JSON.stringify(done)).toBe(true);

  const project = "media" as ProjectName;
  const secret = { project: DEFAULT, name: "db", encrypted: "AA==", digest };
  const steps: (readonly [string, () => Promise<{ readonly ok: boolean }>])[] = [
    ["project_created", () => api.createProject({ name: project } as never, origin)],
    ["project_removed", () => api.removeProject(project, origin)],
    ["secret_set", () => api.setSecret(secret, origin)],
    ["secret_removed", () => api.removeSecret(DEFAULT, "db", origin)],
    [
      "access_created",
      () =>
        api.createAccess(
          { id: "0123456789abcdef", digest, name: "ci", role: "viewer", projects: null, ttlMs: null } as never,
          origin,
        ),
    ],
    ["access_revoked", () => api.revokeAccess("ci", origin)],
    [
      "join_token_created",
      () => api.createJoinToken({ id: "0123456789abcdef", digest, host: null, ttlMs: 60_000 }, origin),
    ],
    ["join_token_revoked", () => api.revokeJoinToken("0123456789abcdef", origin)],
    ["volume_removing", () => api.removeVolume(DEFAULT, "gone", null, origin)],
    ["host_removed", () => api.removeHost(HOST, true, origin)],
  ];
  const counts = (kind: string): number =>
    log.entries.flatMap(({ records }) => records).filter((record) => record.kind === kind).length;
  for (const [kind, step] of steps) {
    lose(2);
    const answer = await step();
    expect(answer, `${kind}: ${JSON.stringify(answer)}`).toMatchObject({ ok: true });
    expect(counts(kind), kind).toBe(1);
  }
  // Somebody else who asks for the same is told that there is nothing.
  expect(await api.removeHost(HOST, true, origin)).toMatchObject({ ok: false, error: { code: "host.not_found" } });
  expect(await api.removeVolume(DEFAULT, "gone", null, origin)).toMatchObject({ error: { code: "volume.not_found" } });
});

test("a removal that is asked for again leaves alone what was made since under the same name", async () => {
  const { leader } = await start();
  const { engine } = leader;
  const asked: string[] = [];
  const volumes = createVolumes({
    engine,
    askAgent: async (_host, op) => ok(void asked.push(op.kind)),
    pause: async () => {},
  });
  const make = (more: readonly LogRecord[] = []) =>
    engine.submit({
      cause: "test",
      splittable: false,
      decide: () => {
        const volume = {
          kind: "volume_created",
          project: DEFAULT,
          volume: "data",
          hostId: HOST,
          sizeBytes: 0,
        } as const;
        const state = { by: "test", readOnly: false, state: "ready", from: null } as const;
        return ok({ records: [...more, { ...volume, ...state } as never], value: null });
      },
    });
  await make([{ kind: "host_enrolled", hostId: HOST, publicKey, by: "test" }]);
  const remove = () => volumes.removeVolume(DEFAULT, "data", null, { ...origin, request: "one" });
  expect(await remove()).toMatchObject({ ok: true, value: { host: HOST, state: "removed" } });
  expect((await make()).ok).toBe(true);
  expect(await remove()).toMatchObject({ ok: true, value: { host: null, state: "removed" } });
  expect(asked).toEqual(["volume_remove"]);
  expect(engine.state.volumes.get(volumeKey(DEFAULT, "data"))?.state).toBe("ready");
});
