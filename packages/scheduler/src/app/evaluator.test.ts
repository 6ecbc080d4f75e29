/** The loop that plans, on a state whose index is wrong about a host: the others go on. */
import { pino } from "pino";
import { expect, test } from "vitest";
import { ok, type LogRecord } from "@berth/schema";
import { inside } from "../core/state.ts";
import { makeSpec, resources, World } from "../core/testing/world.ts";
import { manualClock } from "../testing/manual-clock.ts";
import { createEvaluator } from "./evaluator.ts";

const start = (world: World) => {
  let ids = 0;
  const clock = { ...manualClock(), randomBytes: (count: number) => new Uint8Array(count).fill((ids += 1)) };
  const rejected: string[] = [];
  let nudges = 0;
  const evaluate = createEvaluator({
    clock,
    logger: pino({ level: "silent" }),
    counters: { planned: () => {}, rejected: (reason) => void rejected.push(reason) },
    images: { of: () => undefined },
    nudge: () => (nudges += 1),
  });
  const commit = async (records: readonly LogRecord[]) => {
    world.append(records);
    return ok(world.state.revision);
  };
  const run = async (): Promise<void> => {
    while (await evaluate(world.state, commit));
  };
  return { clock, rejected, run, nudges: () => nudges };
};

const hostOf = (world: World, job: string): string | undefined =>
  world.state.allocations.get(world.job(job).tasks[0]?.active as never)?.hostId;

test("a host about which a plan is wrong is left out of the next one, and tried again later", async () => {
  const world = new World();
  world.host("h1", resources(4000, 8192, 1000));
  world.host("h2", resources(8000, 16_384, 1000));
  world.submit(makeSpec("fills", { requests: resources(4000, 8192, 10) }));
  const { clock, rejected, run, nudges } = start(world);
  await run();
  expect(hostOf(world, "fills")).toBe("h1");
  // The index has lost what is booked there.
  const state = inside(world.state);
  const slot = state.hosts.get("h1" as never)?.slot as number;
  const { requestClass } = world.job("fills") as never;
  state.index.tryOut(slot, requestClass, -1);
  world.submit(makeSpec("small", { requests: resources(1000, 2048, 10) }));
  await run();
  expect(hostOf(world, "small")).toBe("h2");
  expect(rejected).toEqual(["invalid"]);
  // It stays out for a while, and what is planned meanwhile is right at once.
  world.submit(makeSpec("next", { requests: resources(1000, 2048, 10) }));
  await run();
  expect(hostOf(world, "next")).toBe("h2");
  expect(rejected).toHaveLength(1);
  state.index.tryOut(slot, requestClass, 1);
  world.exit("fills", 0, 0);
  world.submit(makeSpec("large", { requests: resources(4000, 8192, 10) }));
  await run();
  expect(hostOf(world, "large")).toBe("h2");
  const before = nudges();
  clock.advance(60_000);
  expect(nudges()).toBeGreaterThan(before);
  world.submit(makeSpec("again", { requests: resources(3000, 4096, 10) }));
  await run();
  expect(hostOf(world, "again")).toBe("h1");
});
