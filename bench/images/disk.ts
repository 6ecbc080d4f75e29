/** What many containers of one image take on disk, beside the one copy of the image: blocks, as the file system counts. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openRuntime, type Container } from "@berth/native";
import type { OciStore } from "../../packages/agent/src/adapters/images/store.ts";
import { plainSpec } from "../../packages/native/test/scratch.ts";
import { figure, type Figure } from "../runtime/figures.ts";
import { PROGRAM } from "./made-image.ts";

const TARGET_KIB = 64;

/** Of everything below, each inode once. */
const blocksOf = (path: string, seen = new Set<number>()): number => {
  const info = lstatSync(path);
  if (seen.has(info.ino)) return 0;
  seen.add(info.ino);
  const own = info.blocks * 512;
  if (!info.isDirectory()) return own;
  return readdirSync(path).reduce((sum, name) => sum + blocksOf(join(path, name), seen), own);
};

export const diskFigures = async (
  place: { readonly directory: string; readonly cgroupParent: string },
  store: OciStore,
  { image, storeDirectory, plainBytes }: { image: string; storeDirectory: string; plainBytes: number },
  count: number,
): Promise<Figure[]> => {
  const stateDir = join(place.directory, "disk-state");
  const runtime = await openRuntime({ stateDir, cgroupParent: place.cgroupParent });
  await runtime.adopt();
  const running: Container[] = [];
  try {
    const one = blocksOf(storeDirectory);
    const before = one + blocksOf(stateDir);
    for (let at = 0; at < count; at += 1) {
      const { layers } = await store.prepare(image, `disk${at}`, { signal: new AbortController().signal });
      const result = await runtime.start({ ...plainSpec(at, "/", [`/${PROGRAM}`, "sleep", "1000"]), layers });
      if (!result.ok) throw new Error(`${result.error.stage}: ${result.error.detail}`);
      running.push(result.value);
    }
    const grown = blocksOf(storeDirectory) + blocksOf(stateDir) - before;
    const note = `${running.length} running; ${(plainBytes / 2 ** 20).toFixed(0)} MiB of files`;
    return [
      figure("disk of the image, one copy", one / 2 ** 20, "MiB", { note }),
      figure("disk of each container of it", grown / count / 1024, "KiB", { atMost: TARGET_KIB }),
    ];
  } finally {
    for (const container of running) {
      await container.stop({ graceMs: 0 });
      await container.remove();
    }
    await runtime.close();
  }
};
