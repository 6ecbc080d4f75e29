/** The loop that plans, on a state whose index is wrong about a host: the others go on. */
import { pino } from "pino";
import { expect, test } from "vitest";
import { err, MAX_TRANSACTION_BYTES, ok, problem, type LogRecord } from "@berth/schema";
import { decideDraining, decideHello } from "../core/index.ts";
import { inside } from "../core/state.ts";
import { makeHello, makeSpec, resources, unwrap, World } from "../core/testing/world.ts";
import { manualClock } from "../testing/manual-clock.ts";
import { createEvaluator } from "./evaluator.ts";

const start = (world: World) => {
  let ids = 0;
  const randomBytes = (count: number): Uint8Array => {
    ids += 1;
    return new Uint8Array(count).fill(ids).fill(ids >> 8, 0, 1);
  };
  const clock = { ...manualClock(), randomBytes };
  const rejected: string[] = [];
  let nudges = 0;
  const evaluate = createEvaluator({
    clock,
    logger: pino({ level: "silent" }),
    counters: { planned: () => {}, rejected: (reason) => void rejected.push(reason) },
    images: { of: () => undefined },
    nudge: () => (nudges += 1),
  });
  let refuses = false;
  const commit = async (records: readonly LogRecord[]) => {
    const isTooLong = Buffer.byteLength(JSON.stringify(records)) > MAX_TRANSACTION_BYTES;
    if (refuses || isTooLong) return err(problem("log.unavailable", "for the test"));
    world.append(records);
    return ok(world.state.revision);
  };
  const run = async (): Promise<void> => {
    while (await evaluate(world.state, commit));
  };
  const refuse = (isRefusing: boolean): void => void (refuses = isRefusing);
  return { clock, rejected, run, refuse, nudges: () => nudges };
};

const hostOf = (world: World, job: string): string | undefined =>
  world.state.allocations.get(world.job(job).tasks[0]?.active ?? ("" as never))?.hostId;

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

test("a job that makes plans invalid wherever it goes is left out, and the others of its class go on", async () => {
  const world = new World();
  world.host("h1", resources(3000, 8192, 1000));
  const gang = { count: 2, gangMin: 2, requests: resources(2000, 2048, 10) };
  world.submit(makeSpec("wrong", gang));
  // As if one of it were over: a plan with the other alone is no gang.
  const { counts } = inside(world.state).jobs.get("media/wrong" as never) as { counts: { stopped: number } };
  counts.stopped = 1;
  world.submit(makeSpec("small"));
  const { clock, rejected, run, nudges } = start(world);
  await run();
  expect(rejected).toEqual(["invalid"]);
  expect(hostOf(world, "small")).toBe("h1");
  world.host("h2", resources(4000, 8192, 1000));
  world.submit(makeSpec("right", { ...gang, requests: resources(2000, 2048, 10) }));
  await run();
  expect(hostOf(world, "right")).toBeDefined();
  expect(hostOf(world, "wrong")).toBeUndefined();
  expect(rejected).toHaveLength(1);
  counts.stopped = 0;
  world.host("h3", resources(4000, 8192, 1000));
  const before = nudges();
  clock.advance(60_000);
  expect(nudges()).toBeGreaterThan(before);
  await run();
  expect(hostOf(world, "wrong")).toBeDefined();
});

test("a plan whose placements name many ports is made smaller until the log takes it", async () => {
  const world = new World();
  const range = { first: 10_000, last: 29_999 };
  const allocatable = { ...resources(900_000, 900_000, 10_000), more: { ports: 20_000 } };
  world.host("h1", allocatable);
  const hello = makeHello(allocatable, "session-0000000002");
  const capacity = { ...hello.capacity, ports: range };
  world.append(unwrap(decideHello(world.state, "h1" as never, { ...hello, capacity })));
  const ports = Array.from({ length: 16 }, (_, at) => ({ name: `${"p".repeat(30)}${at}`, port: null }));
  const requests = { ...resources(10, 4, 1), more: { ports: ports.length } };
  world.submit(makeSpec("j".repeat(60), { count: 600, ports, requests }));
  const { rejected, run } = start(world);
  await run();
  expect(rejected).toEqual([]);
  expect(world.state.allocations.size).toBe(600);
});

test("nobody leaves a draining host for one that is left out", async () => {
  const world = new World();
  world.host("h1", resources(4000, 8192, 1000));
  world.submit(makeSpec("web", { kind: "service", requests: resources(3000, 1024, 10) }));
  const { clock, rejected, run } = start(world);
  await run();
  world.report(world.active("web"), "running");
  world.host("h2", resources(4000, 8192, 1000));
  world.submit(makeSpec("fills", { requests: resources(4000, 8192, 10) }));
  await run();
  // The index has lost what is booked there.
  const state = inside(world.state);
  const { requestClass } = world.job("fills") as never;
  state.index.tryOut(state.hosts.get("h2" as never)?.slot as number, requestClass, -1);
  world.submit(makeSpec("more", { requests: resources(2000, 1024, 10) }));
  await run();
  expect(rejected).toEqual(["invalid"]);
  world.append(unwrap(decideDraining(world.state, "h1" as never, "ann", clock.nowMs() + 60_000)));
  await run();
  expect(world.state.allocations.get(world.active("web"))?.desired).toBe("run");
});

test("what a drain or the end of retention has to write is tried again soon when the log does not take it", async () => {
  const world = new World();
  world.host("h1", resources(4000, 8192, 1000));
  const { clock, refuse, run, nudges } = start(world);
  world.append(unwrap(decideDraining(world.state, "h1" as never, "ann", world.nowMs + 60_000)));
  refuse(true);
  await run();
  expect(world.state.hosts.get("h1" as never)?.state).toBe("draining");
  expect(nudges()).toBe(0);
  clock.advance(1_000);
  expect(nudges()).toBe(1);
  refuse(false);
  await run();
  expect(world.state.hosts.get("h1" as never)?.state).toBe("cordoned");
});
