/** When an operation is given up: archives that nobody brings any more, and no others. */
import { expect, test } from "vitest";
import { ok, problem, err, type ImageRequest } from "@berth/schema";
import { FakeClock, turns } from "../testing/fake-clock.ts";
import { noVerbs } from "../testing/no-verbs.ts";
import type { Ports } from "./context.ts";
import { createImageOperations } from "./image-operations.ts";

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet } as unknown as Ports["log"];
const id = "volume-import-00000017";
const request: ImageRequest = { kind: "volume_import", volume: "media.data.17", mostBytes: null };

/** Reads the archive, and then `work` takes as long as it takes. */
const importing = (work: () => Promise<void>) => {
  const clock = new FakeClock();
  const volumes = {
    take: async (_id: string, archive: AsyncIterable<Uint8Array>, { signal }: { readonly signal: AbortSignal }) => {
      for await (const _piece of archive);
      await work();
      signal.throwIfAborted();
      return { entries: 1, bytes: 1 };
    },
  } as unknown as Ports["volumes"];
  const images = { verbs: noVerbs } as Ports["images"];
  const doers = {
    openTree: () => Promise.resolve(err(problem("internal", "none"))),
    refuseExport: () => undefined,
  };
  return { clock, operations: createImageOperations({ images, volumes, clock, log }, doers) };
};

test("an import whose unpacking takes minutes after its last piece came is not given up", async () => {
  let done: () => void = () => undefined;
  const { clock, operations } = importing(() => new Promise<void>((resolve) => (done = resolve)));
  operations.start(id, request);
  expect(await operations.write(id, 0, Buffer.alloc(1024), true)).toEqual(ok(1024));
  await clock.advance(300_000);
  expect(operations.look(id)).toMatchObject({ state: "running" });
  done();
  await turns(3);
  expect(operations.look(id)).toMatchObject({ state: "succeeded" });
});

test("an import of which nothing comes for a minute is", async () => {
  const { clock, operations } = importing(() => Promise.resolve());
  operations.start(id, request);
  await operations.write(id, 0, Buffer.alloc(1024), false);
  await clock.advance(50_000);
  expect(operations.look(id)).toMatchObject({ state: "running" });
  await clock.advance(30_000);
  expect(operations.look(id)).toMatchObject({ state: "failed", error: "nothing came for 60 s" });
});
