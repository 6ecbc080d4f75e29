/** Cold pulls: the same image from the same registry into an empty place, by everybody in turn. */
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { figure, median, pairedRatio, type Figure } from "../runtime/figures.ts";
import type { MadeImage } from "./made-image.ts";
import { pullPeers } from "./peers.ts";
import type { Pulled } from "./puller.ts";

const puller = fileURLToPath(new URL("./puller.ts", import.meta.url));
const checkout = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);
/** What a pull may add to the agent, whatever the image: its buffers, and those of the unpacking programs. */
const MEMORY_TARGET_MIB = 128;

/** Everything that was written before is on disk: nobody pays for somebody else. Milliseconds. */
const flush = (directory: string): number => {
  const begin = performance.now();
  execFileSync("sync", ["-f", directory]);
  return performance.now() - begin;
};

interface FreshFileSystem {
  readonly directory: string;
  readonly close: () => void;
}

/** A new ext4 of its own for every pull: nobody inherits a full journal, and taking it away deletes one file. */
const freshFileSystem = (scratch: string, name: string): FreshFileSystem => {
  const file = join(scratch, `${name}.ext4`);
  const directory = join(scratch, name);
  mkdirSync(directory);
  execFileSync("truncate", ["-s", "16G", file]);
  execFileSync("mkfs.ext4", ["-q", file], { stdio: ["ignore", "ignore", "inherit"] });
  execFileSync("mount", ["-o", "loop", file, directory]);
  return {
    directory,
    close: () => {
      execFileSync("umount", [directory]);
      rmSync(file);
    },
  };
};

export const pullOwn = async (directory: string, image: string): Promise<Pulled> => {
  mkdirSync(directory, { recursive: true });
  const words = ["--import", "tsx", "--conditions=source", puller, directory, image];
  const { stdout } = await run(process.execPath, words, { cwd: checkout });
  return JSON.parse(stdout) as Pulled;
};

export const memoryFigures = (pulls: readonly Pulled[]): Figure[] => {
  const grown = Math.max(...pulls.map(({ peakBytes, restingBytes }) => peakBytes - restingBytes)) / 2 ** 20;
  const unpack = Math.max(...pulls.map(({ unpackBytes }) => unpackBytes)) / 2 ** 20;
  return [
    figure("memory of a pull: agent and unpackers, above rest", grown + unpack, "MiB", { atMost: MEMORY_TARGET_MIB }),
    figure("  the agent's own process, above rest", grown, "MiB"),
    figure("  the programs that unpack, all together", unpack, "MiB", { note: "their own memory, not the page cache" }),
  ];
};

export const pullFigures = async (
  scratch: string,
  image: MadeImage,
  options: { readonly rounds: number; readonly peers: boolean },
): Promise<{ readonly figures: Figure[]; readonly pulls: readonly Pulled[] }> => {
  const peers = options.peers ? pullPeers(image.name, scratch) : [];
  const present = peers.filter(({ absent }) => absent === undefined);
  const pulls: Pulled[] = [];
  const times = new Map<string, { ms: number[]; flushed: number[] }>(
    present.map(({ name }) => [name, { ms: [], flushed: [] }]),
  );
  for (let round = 0; round < options.rounds; round += 1) {
    const own = freshFileSystem(scratch, `own-${round}`);
    try {
      flush(scratch);
      pulls.push(await pullOwn(join(own.directory, "store"), image.name));
    } finally {
      own.close();
    }
    for (const peer of present) {
      const place = freshFileSystem(scratch, `${peer.name.replaceAll(" ", "-")}-${round}`);
      const directory = join(place.directory, "store");
      try {
        flush(scratch);
        const ms = await peer.pull(directory);
        const flushed = ms + flush(place.directory);
        times.get(peer.name)?.ms.push(ms);
        times.get(peer.name)?.flushed.push(flushed);
      } finally {
        peer.release(directory);
        place.close();
      }
    }
  }
  const own = pulls.map(({ ms }) => ms);
  const mebibytes = image.plainBytes / 2 ** 20;
  const figures = [
    figure("cold pull and unpack: Berth, median", median(own), "ms", {
      note: `${Math.round((mebibytes * 1000) / median(own))} MiB/s unpacked, flushed to disk and sealed`,
    }),
    ...[...times].flatMap(([name, { flushed, ms }]) => [
      figure(`cold pull and unpack: ${name}, median`, median(ms), "ms", { note: "not flushed to disk" }),
      figure(`  Berth beside ${name}`, pairedRatio(own, ms), "ratio", { versus: name, atMost: 1 }),
      figure(`  Berth beside ${name} when that is flushed, too`, pairedRatio(own, flushed), "ratio", { versus: name }),
    ]),
    ...peers
      .filter(({ absent }) => absent !== undefined)
      .map(({ name, absent }) => figure(`${name}: absent`, Number.NaN, "text", { note: absent ?? "" })),
  ];
  return { figures, pulls };
};
