/** Starts holder.mjs, an agent-like process over the built package, and talks to it. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Place } from "./place.ts";

export interface Holder {
  ask(order: string, more?: object): Promise<Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}

const root = fileURLToPath(new URL("../../", import.meta.url));
let instances = 0;

export const startHolder = (place: Place): Holder => {
  if (instances === 0)
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-b", join(root, "packages/native")], { stdio: "inherit" });
  const state = join(place.directory, `holder-${(instances += 1)}`);
  mkdirSync(state);
  const program = fileURLToPath(new URL("./holder.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, state, place.cgroupParent, place.image], {
    stdio: ["pipe", "pipe", "inherit"],
    /* Not that of tsx, which started us. */
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  const waiting: { resolve(line: string): void; reject(cause: Error): void }[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.resolve(line));
  const ended = new Promise<void>((resolve) =>
    child.once("close", () => {
      for (const one of waiting.splice(0)) one.reject(new Error("the holder ended"));
      resolve();
    }),
  );
  return {
    ask: async (order, more = {}) => {
      const line = await new Promise<string>((resolve, reject) => {
        waiting.push({ resolve, reject });
        child.stdin.write(`${JSON.stringify({ order, ...more })}\n`);
      });
      const answer = JSON.parse(line) as Record<string, unknown>;
      if (typeof answer["failed"] === "string") throw new Error(answer["failed"]);
      return answer;
    },
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
};
