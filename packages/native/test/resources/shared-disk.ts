/** A small disk of the test's own, and programs that write to it past the page cache as fast as they can. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container, Resources, Runtime } from "../../lib/index.ts";
import { eventually, outputOf, type TestHost } from "../host.ts";
import { basic, MIB } from "./host.ts";

export const run = (program: string, ...args: readonly string[]) =>
  execFileSync(program, args, { encoding: "utf8" }).trim();

/** Each program keeps so many writes waiting; a queue that runs empty has no share. */
const WRITERS = 4;
const POUR = `${"probe pour /data/file & ".repeat(WRITERS)} wait`;
/** Of a share of eight to one so much must arrive, on a machine that has other things to do as well. */
const MORE = 2;

export interface LoopDisk {
  readonly path: string;
  readonly device: string;
}
/** Undefined where this kernel has no loop devices. */
export const loopDisk = (file: string): LoopDisk | undefined => {
  try {
    writeFileSync(file, Buffer.alloc(32 * MIB));
    const path = run("losetup", "--find", "--show", "--direct-io=on", file);
    return { path, device: readFileSync(`/sys/block/${path.slice("/dev/".length)}/dev`, "utf8").trim() };
  } catch {
    return undefined;
  }
};
export const detach = (path: string) => run("losetup", "--detach", path);

/** `enough`: points of two together after which they are compared; each stands for 32 blocks. */
export const diskWriters = (
  host: TestHost,
  layers: () => readonly string[],
  { mountPoint, enough }: { readonly mountPoint: string; readonly enough: number },
) => {
  const started: Container[] = [];
  let directories = 0;
  const written = async (container: Container): Promise<number> => (await outputOf(container)).length;
  return {
    writer: async (runtime: Runtime, limits: Partial<Resources>, script = POUR): Promise<Container> => {
      const data = join(mountPoint, `${(directories += 1)}`);
      mkdirSync(data);
      writeFileSync(join(data, "file"), Buffer.alloc(2 * MIB));
      run("sync", join(data, "file"));
      expect(statSync(data).dev, "lies on the disk").toBe(statSync(mountPoint).dev);
      const result = await runtime.start(
        host.spec(["sh", "-c", script], {
          layers: layers(),
          mounts: [{ source: data, target: "/data", readOnly: false }],
          limits: { ...basic, ...limits },
        }),
      );
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      started.push(result.value);
      return result.value;
    },
    /** The second writes so much more than the first, twice in a row: a scheduler takes its time. */
    becomes: async (a: Container, b: Container): Promise<void> => {
      let before = [await written(a), await written(b)] as const;
      let inARow = 0;
      await eventually(async () => {
        const now = [await written(a), await written(b)] as const;
        const [one, two] = [now[0] - before[0], now[1] - before[1]];
        if (one + two < enough) return false;
        before = now;
        inARow = two > MORE * one ? inARow + 1 : 0;
        return inARow === 2;
      });
    },
    endAll: async (): Promise<void> => {
      for (const container of started.splice(0)) {
        await container.stop({ signal: 9, graceMs: 0 });
        await container.remove();
      }
    },
  };
};
