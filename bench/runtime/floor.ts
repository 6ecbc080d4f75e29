/**
 * Drives the C program in floor/: it makes containers itself, and it launches other programs, so that starting those is
 * not billed with what a fork of this Node process costs.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Place } from "./place.ts";

/** As in floor/floor.h. */
export const WITHOUT = { net: 1, cgroups: 2, mounts: 4, filter: 8, user: 16, overlay: 32, all: 64 } as const;

export interface Floor {
  readonly pid: number;
  /** One start; milliseconds to the exit of the program. */
  run(variant?: number): Promise<number>;
  /** Many, each removed before the next; starts per second. */
  rate(count: number, variant?: number): Promise<number>;
  hold(): Promise<number>;
  release(): Promise<number>;
  /** Another program, to its exit; milliseconds. Rejects when it fails. */
  spawn(words: readonly string[]): Promise<number>;
  close(): Promise<void>;
}

interface FloorOptions {
  readonly program?: readonly string[];
  /** Stands as descriptor 3 of what is spawned. */
  readonly file?: number;
  /** In a mount namespace of its own without the v2 hierarchy, which some peers cannot bear beside v1. */
  readonly v1Only?: boolean;
  /** Where what is spawned finds programs; default: where this process does. */
  readonly path?: string;
}

let instances = 0;

export const startFloor = (place: Place, options: FloorOptions = {}): Floor => {
  const state = join(place.directory, `floor-${(instances += 1)}`);
  mkdirSync(state);
  const hierarchies = place.layout.hierarchies.map((h) => `${h.path}:${h.version}:${h.controllers.join(",")}`);
  const first = String(instances * 1_000_000);
  const words = [
    place.floorProgram,
    ...[place.image, state, place.cgroupParent, "1000000000", first, ...hierarchies, "--"],
    ...(options.program ?? ["/bin/true"]),
  ];
  const unified = place.layout.hierarchies.find((h) => h.version === 2)?.path;
  const wrapped =
    options.v1Only === true && unified !== undefined && place.layout.kind === "hybrid"
      ? ["unshare", "-m", "--propagation", "private", "sh", "-c", `umount ${unified} && exec "$@"`, "sh", ...words]
      : words;
  const child = spawn(wrapped[0] ?? "", wrapped.slice(1), {
    stdio: ["pipe", "pipe", "pipe", options.file ?? "ignore"],
    env: { ...process.env, ...(options.path === undefined ? {} : { PATH: options.path }) },
  });
  return talk(child);
};

const talk = (child: ChildProcess): Floor => {
  const waiting: { resolve(line: string): void; reject(cause: Error): void }[] = [];
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => (errors = `${errors}${chunk.toString()}`.slice(-2000)));
  if (child.stdout === null || child.stdin === null) throw new Error("the floor has no pipes");
  const { stdin } = child;
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.resolve(line));
  const ended = new Promise<void>((resolve) =>
    child.once("close", () => {
      for (const one of waiting.splice(0)) one.reject(new Error(`the floor ended: ${errors}`));
      resolve();
    }),
  );
  const ask = async (line: string): Promise<number[]> => {
    const answer = await new Promise<string>((resolve, reject) => {
      waiting.push({ resolve, reject });
      stdin.write(`${line}\n`);
    });
    return answer.split(" ").map(Number);
  };
  const check = (status: number | undefined, what: string): void => {
    if (status !== 0) throw new Error(`${what} ended with wait status ${status}: ${errors.trim()}`);
  };
  return {
    pid: child.pid ?? 0,
    run: async (variant = 0) => {
      const [exitUs = Number.NaN, , status] = await ask(`run ${variant}`);
      check(status, "a start of the floor");
      return exitUs / 1000;
    },
    rate: async (count, variant = 0) => {
      const [totalUs = Number.NaN, failed] = await ask(`rate ${count} ${variant}`);
      check(failed, "starts of the floor");
      return count / (totalUs / 1e6);
    },
    hold: async () => (await ask("hold"))[0] ?? Number.NaN,
    release: async () => (await ask("release"))[0] ?? Number.NaN,
    spawn: async (words) => {
      errors = "";
      const [exitUs = Number.NaN, status] = await ask(`spawn ${words.join("\u001f")}`);
      check(status, words[0] ?? "");
      return exitUs / 1000;
    },
    close: async () => {
      stdin.end();
      await ended;
    },
  };
};
