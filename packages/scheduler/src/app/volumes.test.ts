/** What a leader makes of copies whose source is not there any more. */
import { expect, test } from "vitest";
import { ok, type LogRecord, type ProjectName, type Result, type Rpc } from "@berth/schema";
import { decideCopyVolume, decideVolume, volumeIdOf, type ClusterState } from "../core/index.ts";
import { unwrap, World } from "../core/testing/world.ts";
import type { Engine } from "./engine.ts";
import { createVolumes } from "./volumes.ts";

const media = "media" as ProjectName;
const wish = { project: media, readOnly: false, from: null, by: "ann", hostId: null, sizeBytes: 0 } as const;
const copy = { project: media, from: "data", name: "twin", snapshot: false, by: "ann" };

const clusterWith = (state: "new" | "ready") => {
  const world = new World();
  world.host("h1");
  world.append(unwrap(decideVolume(world.state, { ...wish, name: "data", state })));
  world.append(unwrap(decideCopyVolume(world.state, copy)));
  const engine = {
    state: world.state,
    submit: (command: { decide: (now: ClusterState) => Result<{ records: LogRecord[] }, never> }) => {
      const decided = unwrap(command.decide(world.state));
      world.append(decided.records);
      return Promise.resolve(ok({ value: undefined, revision: 1 }));
    },
  } as unknown as Engine;
  const asked: Rpc["op"][] = [];
  const askAgent = (_host: unknown, op: Rpc["op"]) => {
    asked.push(op);
    return Promise.resolve(ok({ state: "copying", error: null }));
  };
  const find = (name: string) => {
    const volume = world.state.volumes.get(`media/${name}`);
    if (volume === undefined) throw new Error(`no volume ${name}`);
    return volume;
  };
  return { world, asked, find, volumes: createVolumes({ engine, askAgent, pause: () => Promise.resolve() }) };
};

test("a host is told whether what it copies must be there", async () => {
  for (const [state, more] of [
    ["new", {}],
    ["ready", { mustExist: true }],
  ] as const) {
    const { asked, find, volumes } = clusterWith(state);
    await volumes.follow(find("twin"));
    const [id, from] = [volumeIdOf(find("twin")), volumeIdOf(find("data"))];
    expect(asked).toEqual([{ kind: "volume_fill", id, from, ...more }]);
  }
});

test.each([false, true])(
  "a copy of one that is gone has failed, also when there is another one (%j)",
  async (again) => {
    const { asked, find, volumes, world } = clusterWith("ready");
    const { generation } = find("data");
    // As logs of before have it: nothing kept it from being removed.
    world.append([
      { kind: "volume_removing", project: media, volume: "data", generation, by: "ann" },
      { kind: "volume_removed", project: media, volume: "data", generation },
    ]);
    if (again) world.append(unwrap(decideVolume(world.state, { ...wish, name: "data", state: "new" })));
    expect(await volumes.follow(find("twin"))).toMatchObject({
      error: { code: "volume.failed", detail: expect.stringContaining("data, which it is a copy of, was removed") },
    });
    expect(find("twin").state).toBe("removing");
    expect(asked).toEqual([]);
  },
);
