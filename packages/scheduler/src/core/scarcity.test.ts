/** What a place is worth for those who need devices, of which there are many, few, or none. */
import { deviceTotals, type Device, type DeviceAsk } from "@berth/schema";
import { expect, it } from "vitest";
import { createState, decideEnrol, decideHello, imageOf, restoreImage } from "./index.ts";
import { scarcitiesOf } from "./scarcity.ts";
import { inside } from "./state.ts";
import { padded } from "./vector.ts";
import { host, makeHello, makeSpec, MiB, resources, unwrap, World } from "./testing/world.ts";

const gpus = (count: number): Device[] =>
  Array.from({ length: count }, (_, at) => ({ kind: "gpu", id: `GPU-${at}`, model: "T4", has: { milli: 1000 } }));

const ask = (count: number, milli = 1000): DeviceAsk => ({ kind: "gpu", count, each: { milli } });

const join = (world: World, name: string, cpuMillis: number, devices: readonly Device[]): void => {
  const more = deviceTotals(devices.map(({ kind, has }) => ({ kind, count: 1, each: has })));
  const hello = makeHello({ ...resources(cpuMillis, 65_536, 10_000), more }, "session-0000000001");
  world.append(unwrap(decideEnrol(world.state, { id: host(name), publicKey: `U${"A".repeat(55)}`, by: "admin" })));
  world.append(
    unwrap(decideHello(world.state, host(name), { ...hello, capacity: { ...hello.capacity, devices: [...devices] } })),
  );
};

const submit = (world: World, name: string, cpuMillis: number, asks: readonly DeviceAsk[], count = 1): void => {
  world.submit(
    makeSpec(name, {
      requests: { ...resources(cpuMillis, 64, 1), more: deviceTotals(asks) },
      devices: [...asks],
      count,
    }),
  );
  world.plan();
};

/** (together + 1) / (places + 1), to the fourth. */
const scarcity = (together: number, places: number): number => ((together + 1) / (places + 1)) ** 4;

it("tells how many places there are from how many there could be", () => {
  const world = new World();
  join(world, "h1", 8_000, gpus(4));
  join(world, "h2", 8_000, gpus(4));
  join(world, "h3", 64_000, []);
  const few = padded([1000, 64 * MiB, 1]);
  const much = padded([6000, 64 * MiB, 1]);
  const requests = [
    { request: few, devices: [ask(1)] },
    { request: few, devices: [ask(4)] },
    { request: much, devices: [ask(1)] },
    { request: few },
  ];
  const told = (): readonly number[] => scarcitiesOf(inside(world.state), requests);
  // Processors are there for one of the third on each host that has devices; nobody waits for those without.
  [1, 1, scarcity(8, 2), 1].forEach((expected, at) => expect(told()[at]).toBeCloseTo(expected, 9));
  submit(world, "part", 1000, [ask(1, 400)]);
  // 7.6 devices are free, of which seven are whole, on one host all four.
  [scarcity(7.6, 7), scarcity(1.9, 1), scarcity(7.6, 2), 1].forEach((expected, at) =>
    expect(told()[at]).toBeCloseTo(expected, 9),
  );
});

it("is part of what is learned: it survives a restart", () => {
  const world = new World();
  join(world, "h1", 32_000, gpus(8));
  join(world, "h2", 32_000, gpus(8));
  submit(world, "hungry", 7_000, [ask(1)], 6);
  const { demand, index } = inside(world.state);
  const known = demand.mix.requests[0]?.scarcity;
  // Eight devices are as good as lost for it beside processors for one.
  expect(known).toBeGreaterThan(2);
  const copy = createState();
  restoreImage(copy, structuredClone([...imageOf(world.state)]));
  const again = inside(copy);
  expect(again.demand.mix).toEqual(demand.mix);
  expect(again.index.valuation().values).toEqual(index.valuation().values);
});
