/** A daemon whose host is full of work that a budget protects sleeps until the budget allows more, though no room has changed. */
import { expect, it } from "vitest";
import { makeSpec, resources, World } from "./testing/world.ts";

it("a daemon that a budget stood against is asked again when the budget allows it", () => {
  const world = new World();
  world.host("h1", resources(4000, 8192, 1000));
  const half = { requests: resources(2000, 1024, 10) };
  world.submit(
    makeSpec("lesser", {
      ...{ ...half, count: 2, disruption: { minAvailable: 1 } },
      priority: { band: "besteffort", level: 50 },
    }),
  );
  world.plan();
  const priority = { band: "system", level: 50 } as const;
  world.submit(makeSpec("agent", { ...half, kind: "daemon", count: 0, priority, restart: { on: "always" } }));
  // Nothing of it runs yet, so nothing may be stopped; asked again, it is the same.
  expect(world.plan()).toEqual([]);
  world.report(world.active("lesser", 0), "running");
  expect(world.plan()).toEqual([]);
  world.report(world.active("lesser", 1), "running");
  expect(world.plan()).toEqual([expect.stringMatching(/^keep h1 for media\/agent\[0\]: stop media\/lesser\[[01]\]$/)]);
});
