/** Pieces of archives are for one volume, not for whichever has its name. */
import { expect, test } from "vitest";
import { ok, problem, type ImageDataTaken, type Problem, type ProjectName } from "@berth/schema";
import { decideRemoveVolume, decideVolume, decideVolumeStep, volumeIdOf } from "../core/index.ts";
import { unwrap, World } from "../core/testing/world.ts";
import { createVolumeArchives } from "./volume-archives.ts";

const media = "media" as ProjectName;
const wish = { project: media, readOnly: false, from: null, by: "ann", hostId: null, sizeBytes: 0 } as const;

/** `refuse`: what the host says to a piece. */
const importing = (refuse: () => Problem | null = () => null) => {
  const world = new World();
  world.host("h1");
  const made = () => {
    world.append(unwrap(decideVolume(world.state, { ...wish, name: "data", state: "filling" })));
    return find();
  };
  const find = () => {
    const volume = world.state.volumes.get("media/data");
    if (volume === undefined) throw new Error("no volume");
    return volume;
  };
  const written: string[] = [];
  const images = {
    begin: (_host: unknown, id: string) => Promise.resolve(ok({ id } as never)),
    exported: () => Promise.reject(new Error("nobody exports")),
    write: (operation: string): Promise<ImageDataTaken> => {
      written.push(operation);
      return Promise.resolve({ items: [{ host: find().hostId, offset: 0, problem: refuse() }] });
    },
  };
  const follow = (volume: ReturnType<typeof find>) =>
    Promise.resolve(world.append(decideVolumeStep(world.state, "volume_filled", volume)));
  const askAgent = () => Promise.resolve(ok({ state: "ready", error: null }));
  const pause = () => Promise.resolve();
  const archives = createVolumeArchives({ state: world.state, images, askAgent, follow, pause });
  return { world, made, find, written, archives };
};
const piece = { offset: 0, data: Buffer.from("x"), last: true };

test("a piece for a volume that is another one by now is refused, and reaches no host", async () => {
  const { archives, find, made, world, written } = importing();
  const first = volumeIdOf(made());
  world.append(unwrap(decideRemoveVolume(world.state, media, "data", "ann", first)));
  world.append(decideVolumeStep(world.state, "volume_removed", find()));
  const second = volumeIdOf(made());
  expect(await archives.take(media, "data", first, piece)).toMatchObject({
    error: {
      code: "volume.not_found",
      detail: `there is no volume ${first} any more: media/data is ${second}`,
    },
  });
  expect(written).toEqual([]);
  expect(decideRemoveVolume(world.state, media, "data", "ann", first)).toMatchObject({
    error: { code: "volume.not_found" },
  });
  expect(await archives.take(media, "data", second, piece)).toEqual(ok({ offset: 1, state: "ready" }));
});

test("a last piece that comes again is answered with ready, if its host does not know of another end", async () => {
  let refused: Problem | null = null;
  const { archives, made } = importing(() => refused);
  const id = volumeIdOf(made());
  const again = () => archives.take(media, "data", id, piece);
  expect(await again()).toEqual(ok({ offset: 1, state: "ready" }));
  expect(await again()).toEqual(ok({ offset: 1, state: "ready" }));
  refused = problem("operation.not_found", "it was restarted");
  expect(await again()).toEqual(ok({ offset: 1, state: "ready" }));
  refused = problem("image.failed", "the archive ended with byte 9");
  expect(await again()).toMatchObject({ error: { code: "volume.failed", detail: expect.stringContaining("byte 9") } });
});
