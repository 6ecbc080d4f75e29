/** A place to unpack to, with things outside of it that no archive may touch. */
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect } from "vitest";
import { unpackLayer, UNPACK_LIMITS, type UnpackLimits, type UnpackResult } from "../../lib/index.ts";

export interface Unpacked {
  readonly result: UnpackResult;
  readonly tree: string;
  /** The failure's sentence, or "" when it worked. */
  readonly refusal: string;
}

export const layerPlace = () => {
  const directory = mkdtempSync(join(tmpdir(), "berth-unpack-"));
  const outside = join(directory, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "file"), "untouched");
  let count = 0;
  afterEach(() => {
    expect(readdirSync(outside)).toEqual(["file"]);
    expect(readFileSync(join(outside, "file"), "utf8")).toBe("untouched");
    expect(readdirSync(directory).filter((name) => !/^(outside|tree-\d+|blob-\d+)$/.test(name))).toEqual([]);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const unpack = async (blob: Buffer, limits: Partial<UnpackLimits> = {}): Promise<Unpacked> => {
    const tree = join(directory, `tree-${(count += 1)}`);
    const file = join(directory, `blob-${count}`);
    mkdirSync(tree);
    writeFileSync(file, blob);
    const blobFd = openSync(file, "r");
    const treeFd = openSync(tree, "r");
    try {
      const result = await unpackLayer(blobFd, treeFd, { ...UNPACK_LIMITS, ...limits });
      return { result, tree, refusal: result.ok ? "" : `${result.error.stage}: ${result.error.detail}` };
    } finally {
      closeSync(blobFd);
      closeSync(treeFd);
    }
  };
  return { directory, outside, unpack };
};
