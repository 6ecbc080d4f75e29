/**
 * A process that has nothing but the agent's store of images, pulls one image with it and says how long that took and how
 * much memory: `puller.ts DIRECTORY IMAGE`. One JSON object on stdout.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openImageSettings } from "../../packages/agent/src/adapters/images/image-settings.ts";
import { openRegistrySettings } from "../../packages/agent/src/adapters/images/registry-settings.ts";
import { openOciStore } from "../../packages/agent/src/adapters/images/store.ts";
import { NO_PROGRESS } from "../../packages/agent/src/core/images/progress.ts";

export interface Pulled {
  readonly ms: number;
  /** Of this process: before, and at its highest. */
  readonly restingBytes: number;
  readonly peakBytes: number;
  /** Of all unpacking programs together, at the highest that was seen (every 20 ms). */
  readonly unpackBytes: number;
}

const field = (pid: string, name: string): number => {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
};

const isUnpacker = (pid: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "berth-unpack";
  } catch {
    return false;
  }
};

/** Programs below this process, and below those. */
const below = (parent: string): string[] => {
  try {
    return readdirSync(`/proc/${parent}/task`).flatMap((task) =>
      readFileSync(`/proc/${parent}/task/${task}/children`, "utf8")
        .split(" ")
        .filter((pid) => pid !== "")
        .flatMap((pid) => [pid, ...below(pid)]),
    );
  } catch {
    return [];
  }
};

const [directory = "", image = ""] = process.argv.slice(2);
const store = await openOciStore(
  directory,
  openRegistrySettings(join(directory, "registries.json")),
  openImageSettings(join(directory, "images.json")),
);
await sleep(300);
const self = String(process.pid);
const restingBytes = field(self, "VmRSS");
let unpackBytes = 0;
const timer = setInterval(() => {
  unpackBytes = Math.max(
    unpackBytes,
    below(self)
      .filter(isUnpacker)
      .reduce((sum, pid) => sum + field(pid, "RssAnon"), 0),
  );
}, 20);
const begin = performance.now();
await store.pull(`oci://${image}`, { progress: NO_PROGRESS, signal: new AbortController().signal });
const ms = performance.now() - begin;
clearInterval(timer);
const pulled: Pulled = { ms, restingBytes, peakBytes: field(self, "VmHWM"), unpackBytes };
console.log(JSON.stringify(pulled));
