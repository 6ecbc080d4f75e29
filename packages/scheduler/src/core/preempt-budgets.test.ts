/** Budgets that stand in the way on many hosts hide none on which they do not. */
import type { JobSpec } from "@berth/schema";
import { expect, it } from "vitest";
import { makeSpec, resources, World } from "./testing/world.ts";

const LOW = { band: "batch", level: 50 } as const;
const on = (names: readonly string[]): JobSpec["placement"] => ({
  require: [`host.id in [${names.map((name) => `"${name}"`).join(", ")}]`],
});

it("finds the one host of hundreds whose work may be stopped", () => {
  const world = new World();
  const hosts = Array.from({ length: 300 }, (_, at) => `h${String(at).padStart(3, "0")}`);
  for (const name of hosts) world.host(name, resources(1_000, 1_024, 10));
  const free = { kind: "service", priority: LOW, placement: { ...on(["h299"]) } } as const;
  world.submit(makeSpec("free", free));
  world.plan();
  const kept = { kind: "service", count: 299, priority: LOW, disruption: { maxUnavailable: 0 } } as const;
  world.submit(makeSpec("kept", kept));
  world.plan();
  for (let index = 0; index < 299; index += 1) world.report(world.active("kept", index), "running");
  world.report(world.active("free"), "running");
  world.submit(makeSpec("vip", { priority: { band: "system", level: 50 } }));
  expect(world.plan()).toEqual(["keep h299 for media/vip[0]: stop media/free[0]"]);
});
