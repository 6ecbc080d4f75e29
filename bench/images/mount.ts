/**
 * From an image that is here to a mounted root file system: what the agent does (finds the image, notes who uses it), and
 * what the supervisor does (mount.c calls its code).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readCgroupLayout } from "@berth/native";
import { encodeSpec } from "../../packages/native/lib/spec.ts";
import { encodeCgroups } from "../../packages/native/lib/spec/cgroups.ts";
import { plainSpec } from "../../packages/native/test/scratch.ts";
import { figure, median, quantile, type Figure } from "../runtime/figures.ts";
import type { OciStore } from "../../packages/agent/src/adapters/images/store.ts";

const native = fileURLToPath(new URL("../../packages/native/", import.meta.url));
const program = fileURLToPath(new URL("./mount.c", import.meta.url));
const TARGET_MS = 1;

const compile = (target: string): void => {
  const supervisor = join(native, "src", "supervisor");
  const sources = readdirSync(supervisor).filter((name) => name.endsWith(".c") && name !== "rootfs.c");
  const flags = [
    "-std=gnu17",
    "-D_GNU_SOURCE",
    "-O2",
    "-Dmain=supervisor_main",
    `-I${join(native, "build", "native")}`,
  ];
  const files = [program, ...sources.map((name) => join(supervisor, name))];
  execFileSync("gcc", [...flags, "-o", target, ...files], { stdio: ["ignore", "ignore", "inherit"] });
};

/** Needs an image that was pulled into the store. */
export const mountFigures = async (
  directory: string,
  store: OciStore,
  image: string,
  rounds: number,
): Promise<Figure[]> => {
  const never = new AbortController().signal;
  const prepared: number[] = [];
  let layers: readonly string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now();
    ({ layers } = await store.prepare(image, `bench${round}`, { signal: never }));
    prepared.push(performance.now() - begin);
    await store.release(`bench${round}`);
  }
  const encoded = encodeSpec(
    { ...plainSpec(1, "/", ["true"]), layers },
    {
      log: { maxBytes: 200_000 },
      attachLayers: false,
      policy: {},
      limitsDisk: false,
      stateDir: "/state",
    },
    encodeCgroups({ parent: "bench", hierarchies: readCgroupLayout().hierarchies, writes: [] }),
  );
  if (!encoded.ok) throw new Error(encoded.error.detail);
  const mounter = join(directory, "mount");
  const spec = join(directory, "mount.spec");
  const state = join(directory, "mount.state");
  writeFileSync(spec, encoded.value);
  mkdirSync(state);
  compile(mounter);
  const lines = execFileSync(mounter, [spec, state, String(rounds)], { encoding: "utf8" })
    .trim()
    .split("\n");
  const times = lines.map((line) => line.split(" ").map((word) => Number(word) / 1000));
  const own = times.map(([first]) => first ?? Number.NaN);
  const plain = times.map(([, second]) => second ?? Number.NaN);
  const about = `${layers.length} layers, ${rounds} rounds`;
  const both = median(prepared) + median(own);
  return [
    figure("warm image to mounted root: all of it, median", both, "ms", { atMost: TARGET_MS, note: about }),
    figure("  the agent finds and holds it, median", median(prepared), "ms"),
    figure("  the supervisor mounts it, median", median(own), "ms", { atMost: TARGET_MS }),
    figure("  the supervisor mounts it, p95", quantile(own, 0.95), "ms"),
    figure("  a plain mount(2) of the same layers, median", median(plain), "ms", { note: "no ids mapped" }),
  ];
};
