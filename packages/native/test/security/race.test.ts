/**
 * Rules 4 to 7: directories and symbolic links change places, as fast as one process can exchange them, while containers
 * start through them. One swapper is itself a container, in a volume that it shares with those that are started; one
 * works on the image. Whatever a start meets, it ends inside of the root or is refused.
 *
 * BERTH_RACE_STARTS sets how many starts (`pnpm race` makes 10,000).
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Container } from "../../lib/index.ts";
import { eventually, outputOf, slow, testHost } from "../host.ts";
import { openDirectory, programs } from "./tools.ts";

const STARTS = Number(process.env["BERTH_RACE_STARTS"] ?? (slow ? 40 : 300));
const host = testHost();

/** C: exchanges the two names of each pair in turn, for ever; rests in between so that both states are met. */
const swap = `#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int n, char **v) {
  unsigned seed = 1, turns = 0;
  for (;;) {
    for (int i = 1; i + 1 < n; i += 2)
      if (renameat2(AT_FDCWD, v[i], AT_FDCWD, v[i + 1], RENAME_EXCHANGE)) return perror(v[i]), 1;
    seed = seed * 1103515245u + 12345u;
    if (++turns == 100 && (puts("swapping") < 0 || fflush(stdout))) return 1;
    usleep(seed >> 16 & 127);
  }
}`;
const tools = programs(host, { swap });

const outside = openDirectory();
const secret = join(host.directory, "secret");
const volume = join(host.directory, "volume");
const source = join(host.directory, "the-source-of-the-bind");
const layer = join(host.directory, "layer");

let imageSwapper: { readonly exitCode: number | null; kill(): unknown } | undefined;
let volumeSwapper: Container | undefined;

beforeAll(async () => {
  for (const path of [secret, volume, source, layer]) mkdirSync(path);
  writeFileSync(join(secret, "who"), "a secret of the host\n");
  writeFileSync(join(source, "who"), "the source\n");
  for (const place of [volume, layer]) {
    mkdirSync(join(place, "target"));
    symlinkSync(outside, join(place, "away"));
    mkdirSync(join(place, "up"));
    symlinkSync(`../../../../../../../..${outside}`, join(place, "up-away"));
    mkdirSync(join(place, "work"));
    symlinkSync("/proc/self/root", join(place, "work-away"));
  }
  mkdirSync(join(volume, "part"));
  writeFileSync(join(volume, "part/who"), "the volume\n");
  symlinkSync(secret, join(volume, "part-away"));
  const pairs = (place: string, names: readonly string[]) =>
    names.flatMap((name) => [`${place}/${name}`, `${place}/${name === "target" ? "away" : `${name}-away`}`]);
  const swapper = spawn(join(tools, "bin/swap"), pairs(layer, ["target", "up", "work"]), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  imageSwapper = {
    get exitCode() {
      return swapper.exitCode;
    },
    kill: () => swapper.kill("SIGKILL"),
  };
  await new Promise((resolve) => swapper.stdout.once("data", resolve));
  volumeSwapper = await host.start(["swap", ...pairs("/vol", ["target", "up", "work", "part"])], {
    layers: [tools, host.image],
    mounts: [{ source: volume, target: "/vol", readOnly: false }],
  });
  const inVolume = volumeSwapper;
  await eventually(async () => (await outputOf(inVolume)) === "swapping\n");
});

afterAll(async () => {
  imageSwapper?.kill();
  await volumeSwapper?.stop({ signal: 9, graceMs: 0 });
  await volumeSwapper?.remove();
});

/** One start through everything that moves; undefined when it was refused. */
const startThroughIt = async (turn: number): Promise<string | undefined> => {
  const ways = [
    { mounts: [bind("/vol/target/a/b"), bind("/vol/up/file", join(source, "who"))], workdir: "/vol/work/x" },
    { mounts: [bind("/target/a/b"), bind("/up/file", join(source, "who"))], workdir: "/work/x" },
    { mounts: [bind("/vol/up/c"), bind("/target/f", join(source, "who"))], workdir: "/" },
    { mounts: [bind("/data", join(volume, "part"))], workdir: "/" },
  ] as const;
  const way = ways[turn % ways.length] ?? ways[0];
  const spec = host.spec(["sh", "-c", "cat /proc/self/mountinfo /data/who"], {
    layers: [layer, host.image],
    mounts: [{ source: volume, target: "/vol", readOnly: false }, ...way.mounts],
    workdir: way.workdir,
  });
  const result = await host.runtime.start(spec);
  if (!result.ok) {
    expect(["mount.bind", "workdir"], JSON.stringify(result.error)).toContain(result.error.stage);
    return undefined;
  }
  await result.value.exited;
  const text = await outputOf(result.value);
  await result.value.remove();
  return text;
};

const bind = (target: string, from = source) => ({ source: from, target, readOnly: true });

test(
  `${STARTS} starts while directories and links change places: nothing is mounted or made outside of the root`,
  { timeout: 60_000 + STARTS * (slow ? 3000 : 200) },
  async () => {
    const table = readFileSync("/proc/self/mountinfo", "utf8");
    let started = 0;
    let refused = 0;
    for (let turn = 0; turn < STARTS; turn += 2) {
      for (const text of await Promise.all([startThroughIt(turn), startThroughIt(turn + 1)])) {
        if (text === undefined) refused += 1;
        else {
          started += 1;
          /* Each bind is there to be seen: one that had landed elsewhere would be missing. */
          expect(text).not.toContain("a secret of the host");
          if (!text.endsWith("the volume\n")) expect(text).toMatch(/the-source-of-the-bind/);
        }
      }
      expect(readdirSync(outside), `after ${turn} starts`).toEqual([]);
      expect(readdirSync(secret)).toEqual(["who"]);
    }
    expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(table);
    expect(imageSwapper?.exitCode, "the swapper of the image").toBeNull();
    if (volumeSwapper !== undefined)
      expect(await outputOf(volumeSwapper, "stderr"), "the swapper of the volume").toBe("");
    process.stdout.write(`race: ${started} started, ${refused} refused\n`);
    expect(started, "starts that went through").toBeGreaterThan(STARTS / 20);
  },
);
