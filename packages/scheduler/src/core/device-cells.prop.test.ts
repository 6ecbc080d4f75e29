/** Devices and processors of one task stand together: in one cell, wherever one has all of it. */
import { deviceTotals, type Device, type DeviceAsk } from "@berth/schema";
import fc from "fast-check";
import { expect, it } from "vitest";
import { decideEnrol, decideHello } from "./index.ts";
import { host, makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const join = (world: World, devices: readonly Device[]): void => {
  const more = deviceTotals(devices.map(({ kind, has }) => ({ kind, count: 1, each: has })));
  const hello = makeHello({ ...resources(64_000, 65_536, 10_000), more }, "session-0000000001");
  world.append(unwrap(decideEnrol(world.state, { id: host("h1"), publicKey: `U${"A".repeat(55)}`, by: "admin" })));
  world.append(
    unwrap(decideHello(world.state, host("h1"), { ...hello, capacity: { ...hello.capacity, devices: [...devices] } })),
  );
};

const gpu = (id: number, cell?: string): Device => ({
  ...{ kind: "gpu", id: `GPU-${id}`, has: { milli: 1000 } },
  ...(cell !== undefined && { cell }),
});
const cellOf = (at: number): Device => ({
  ...{ kind: "numa", id: String(at), has: { cpus: 4 }, cpus: `${at * 4}-${at * 4 + 3}` },
});

const submit = (world: World, name: string, asks: readonly DeviceAsk[]): void => {
  const devices = asks.toSorted((a, b) => (a.kind < b.kind ? -1 : 1));
  const requests = { ...resources(1000, 64, 1), more: deviceTotals(devices) };
  world.submit(makeSpec(name, { requests, devices }));
  world.plan();
};
const grantsOf = (world: World, job: string) =>
  [...world.state.allocations.values()].find((one) => one.job === (job as never))?.devices ?? [];
const idsOf = (world: World, job: string): string[] => grantsOf(world, job).map(({ id }) => id);

it("a task has the GPU beside its processors, though another is begun", () => {
  const world = new World();
  join(world, [gpu(0, "0"), gpu(1, "1"), cellOf(0), cellOf(1)]);
  submit(world, "cpus", [{ kind: "numa", count: 1, each: { cpus: 3 } }]);
  submit(world, "begun", [{ kind: "gpu", count: 1, each: { milli: 500 } }]);
  expect([idsOf(world, "cpus"), idsOf(world, "begun")]).toEqual([["0"], ["GPU-0"]]);
  submit(world, "both", [
    { kind: "gpu", count: 1, each: { milli: 500 } },
    { kind: "numa", count: 1, each: { cpus: 2 } },
  ]);
  expect(idsOf(world, "both")).toEqual(["GPU-1", "1"]);
  // Where that cannot be, it has what there is.
  submit(world, "apart", [
    { kind: "gpu", count: 1, each: { milli: 1000 } },
    { kind: "numa", count: 1, each: { cpus: 1 } },
  ]);
  expect(idsOf(world, "apart")).toEqual([]);
  submit(world, "begun-too", [
    { kind: "gpu", count: 2, each: { milli: 500 } },
    { kind: "numa", count: 1, each: { cpus: 2 } },
  ]);
  expect(idsOf(world, "begun-too")).toEqual(["GPU-1", "GPU-0", "1"]);
});

it("a task of one device has the one that is begun, whether or not that says its cell", () => {
  const world = new World();
  join(world, [gpu(0), gpu(1, "0")]);
  for (const name of ["first", "second"]) submit(world, name, [{ kind: "gpu", count: 1, each: { milli: 500 } }]);
  expect([idsOf(world, "first"), idsOf(world, "second")]).toEqual([["GPU-0"], ["GPU-0"]]);
});

const tasks = fc.array(
  fc.record({
    gpus: fc.integer({ min: 0, max: 2 }),
    milli: fc.constantFrom(300, 500, 1000),
    cpus: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 1, maxLength: 8 },
);
const places = fc.array(fc.constantFrom("0", "1", "2", undefined), { minLength: 1, maxLength: 6 });

it("whatever a cell can give alone comes from one cell", () => {
  fc.assert(
    fc.property(places, fc.integer({ min: 1, max: 3 }), tasks, (of, cells, wanted) => {
      const world = new World();
      const devices = [...of.map((cell, at) => gpu(at, cell)), ...Array.from({ length: cells }, (_, at) => cellOf(at))];
      join(world, devices);
      const left = new Map(devices.map(({ id, has }) => [id, has["milli"] ?? has["cpus"] ?? 0]));
      const placeOf = (id: string) => devices.find((one) => one.id === id && one.kind === "gpu")?.cell ?? id;
      for (const [at, { cpus, gpus, milli }] of wanted.entries()) {
        const asks: DeviceAsk[] = [];
        if (gpus > 0) asks.push({ kind: "gpu", count: gpus, each: { milli } });
        if (cpus > 0) asks.push({ kind: "numa", count: 1, each: { cpus } });
        const has = (place: string): boolean => {
          const its = devices.filter(({ id, kind }) => kind === "gpu" && placeOf(id) === place);
          const able = its.filter(({ id }) => (left.get(id) ?? 0) >= milli);
          return able.length >= gpus && (cpus === 0 || (left.get(place) ?? 0) >= cpus);
        };
        const isOnePossible = ["0", "1", "2"].some(has);
        submit(world, `task${at}`, asks);
        const grants = grantsOf(world, `task${at}`);
        if (grants.length > 0 && isOnePossible)
          expect(new Set(grants.map(({ id }) => placeOf(id))), JSON.stringify({ grants, devices })).toHaveProperty(
            "size",
            1,
          );
        for (const { id, amounts } of grants)
          left.set(id, (left.get(id) ?? 0) - (amounts["milli"] ?? amounts["cpus"] ?? 0));
      }
    }),
    { numRuns: 60 },
  );
});
