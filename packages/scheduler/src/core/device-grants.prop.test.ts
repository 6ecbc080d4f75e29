/**
 * Who is given which devices and processors, by a count of its own: from the grants in the log, the devices that hosts say they
 * have, and nothing of the packer. Hosts come to say other devices, models, shares and cells while theirs are in use.
 */
import { deviceTotals, type Device, type DeviceAsk, type DeviceGrant, type ProjectName } from "@berth/schema";
import fc from "fast-check";
import { expect, it } from "vitest";
import { decideEnrol, decideHello, dryRun, why } from "./index.ts";
import { host, makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const HOSTS = ["h1", "h2"] as const;
type Step =
  | { readonly kind: "says"; readonly host: string; readonly devices: readonly Device[] }
  | { readonly kind: "asks"; readonly asks: readonly DeviceAsk[] }
  | { readonly kind: "ends"; readonly which: number };

/** Four processors of each cell, of which it may give out fewer; cells change their names, cards their places. */
const cells = fc
  .record({
    names: fc.shuffledSubarray(["0", "1", "2"]),
    has: fc.integer({ min: 1, max: 4 }),
    of: fc.constantFrom(2, 4),
  })
  .map(({ names, has, of }) =>
    names.map((id, at): Device => {
      const cpus = `${at * of}-${at * of + of - 1}`;
      return { kind: "numa", id, has: { cpus: Math.min(has, of), memoryBytes: 2 ** 30 }, cpus };
    }),
  );
const cards = fc.uniqueArray(
  fc.record({
    id: fc.constantFrom("GPU-0", "GPU-1", "GPU-2", "GPU-3", "GPU-10"),
    milli: fc.constantFrom(1000, 1000, 600),
    model: fc.constantFrom("A", "B", undefined),
    cell: fc.constantFrom("0", "1", undefined),
  }),
  { selector: ({ id }) => id, maxLength: 5 },
);
const devices = fc.tuple(cells, cards).map(([some, more]): Device[] => [
  ...some,
  ...more.map(({ id, milli, model, cell }) => ({
    ...{ kind: "gpu", id, has: { milli } },
    ...(model !== undefined && { model }),
    ...(cell !== undefined && { cell }),
  })),
]);
const card = fc.record({
  count: fc.constantFrom(0, 1, 1, 2, 3),
  milli: fc.constantFrom(200, 500, 600, 1000),
  models: fc.constantFrom<string[] | undefined>(undefined, undefined, ["A"], ["B", "A"]),
});
const asks = fc
  .record({ card, cpus: fc.integer({ min: 0, max: 3 }), cells: fc.constantFrom(1, 1, 1, 2) })
  .map(({ card: { count, milli, models }, cpus, cells: many }) => {
    const found: DeviceAsk[] = [];
    if (count > 0) found.push({ kind: "gpu", count, each: { milli }, ...(models !== undefined && { models }) });
    if (cpus > 0) found.push({ kind: "numa", count: many, each: { cpus } });
    return found;
  })
  .filter((found) => found.length > 0);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("says" as const), host: fc.constantFrom(...HOSTS), devices }),
    },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("asks" as const), asks }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("ends" as const), which: fc.nat(20) }) },
  ),
  { minLength: 4, maxLength: 24 },
);

const join = (world: World, name: string, has: readonly Device[], session: number): void => {
  const id = host(name);
  if (!world.state.hosts.has(id))
    world.append(unwrap(decideEnrol(world.state, { id, publicKey: `U${"A".repeat(55)}`, by: "admin" })));
  const more = deviceTotals(has.map((one) => ({ kind: one.kind, count: 1, each: one.has })));
  const hello = makeHello({ ...resources(64_000, 65_536, 10_000), more }, `session-${1_000_000_000 + session}`);
  world.append(unwrap(decideHello(world.state, id, { ...hello, capacity: { ...hello.capacity, devices: [...has] } })));
};

const numbers = (list = ""): number[] =>
  list === ""
    ? []
    : list.split(",").flatMap((part) => {
        const [first = 0, last = first] = part.split("-").map(Number);
        return Array.from({ length: last - first + 1 }, (_, at) => first + at);
      });

const isOf = (grant: Pick<DeviceGrant, "kind" | "id">, device: Pick<Device, "kind" | "id">): boolean =>
  grant.kind === device.kind && grant.id === device.id;

interface Live {
  readonly job: string;
  readonly asks: readonly DeviceAsk[];
  readonly grants: readonly DeviceGrant[];
}

const liveOn = (world: World, name: string): Live[] =>
  [...world.state.allocations.values()]
    .filter(({ hostId, state }) => hostId === name && !["exited", "failed", "lost"].includes(state))
    .map(({ job, devices: grants = [], spec }) => ({ job, asks: spec.devices ?? [], grants }));

/** What of an amount of a device is nobody's. Processors are where their numbers are. */
const leftOf = (device: Device, amount: string, live: readonly Live[]): number => {
  let left = device.has[amount] ?? 0;
  const own = numbers(device.cpus);
  for (const grant of live.flatMap(({ grants }) => grants)) {
    if (amount === "cpus" && grant.cpus !== undefined)
      left -= numbers(grant.cpus).filter((cpu) => own.includes(cpu)).length;
    else if (isOf(grant, device)) left -= grant.amounts[amount] ?? 0;
  }
  return left;
};

const ableFor = (ask: DeviceAsk, has: readonly Device[], live: readonly Live[]): Device[] =>
  has.filter(
    (device) =>
      device.kind === ask.kind &&
      (ask.models === undefined || ask.models.includes(device.model ?? "")) &&
      Object.entries(ask.each).every(([amount, each]) => leftOf(device, amount, live) >= each),
  );

/** Whether there is enough in all, and of enough single devices. */
const fitsOn = (wanted: readonly DeviceAsk[], has: readonly Device[], live: readonly Live[]): boolean => {
  const booked = deviceTotals(live.flatMap(({ asks: some }) => some));
  const all = deviceTotals(has.map((one) => ({ kind: one.kind, count: 1, each: one.has })));
  const isEnough = Object.entries(deviceTotals(wanted)).every(
    ([name, amount]) => (all[name] ?? 0) - (booked[name] ?? 0) >= amount,
  );
  return isEnough && wanted.every((ask) => ableFor(ask, has, live).length >= ask.count);
};

const placeOf = ({ kind, id, cell }: Device): string | undefined => (kind === "numa" ? id : cell);

/** So many devices of one cell it could have at most, of those that could be its own. */
const mostOfOne = (wanted: readonly DeviceAsk[], has: readonly Device[], live: readonly Live[]): number => {
  const places = new Set(has.map(placeOf).filter((place) => place !== undefined));
  const counts = [...places].map((place) =>
    wanted.reduce((sum, ask) => {
      const there = ableFor(ask, has, live).filter((device) => placeOf(device) === place);
      return sum + Math.min(ask.count, there.length);
    }, 0),
  );
  return Math.max(0, ...counts);
};

const wrongOf = (mine: Live, has: readonly Device[], others: readonly Live[]): string[] => {
  const wrong: string[] = [];
  const { asks: wanted, grants } = mine;
  if (!fitsOn(wanted, has, others)) wrong.push("there was no room for it");
  if (grants.length !== wanted.reduce((sum, { count }) => sum + count, 0)) wrong.push("another number of devices");
  for (const ask of wanted) {
    const own = grants.filter(({ kind }) => kind === ask.kind);
    if (new Set(own.map(({ id }) => id)).size !== ask.count) wrong.push(`not ${ask.count} ${ask.kind} of its own`);
    const able = ableFor(ask, has, others);
    for (const grant of own) {
      const device = able.find((one) => isOf(grant, one));
      if (device === undefined) wrong.push(`${grant.kind} ${grant.id} could not give it`);
      if (JSON.stringify(grant.amounts) !== JSON.stringify(ask.each)) wrong.push(`another share of ${grant.id}`);
      if (grant.kind !== "numa") continue;
      const cpus = numbers(grant.cpus);
      const taken = new Set(others.flatMap((other) => other.grants.flatMap((one) => numbers(one.cpus))));
      if (cpus.length !== ask.each["cpus"]) wrong.push(`processors ${grant.cpus} for ${ask.each["cpus"]}`);
      if (cpus.some((cpu) => taken.has(cpu))) wrong.push(`processors ${grant.cpus} are another's`);
      if (cpus.some((cpu) => !numbers(device?.cpus).includes(cpu))) wrong.push(`${grant.cpus} are of no such cell`);
    }
  }
  const places = grants.map((grant) => placeOf(has.find((one) => isOf(grant, one)) ?? ({} as Device)));
  const together = Math.max(
    0,
    ...places.map((place) => (place === undefined ? 0 : places.filter((one) => one === place).length)),
  );
  const most = mostOfOne(wanted, has, others);
  if (grants.length > 1 && together < most) wrong.push(`${together} of one cell, where one could give ${most}`);
  return wrong.map((what) => `${mine.job}: ${what}`);
};

it("nobody has a device, a share of one or a processor that is another's; cells are kept together; what waits fits nowhere", () => {
  let [placed, waiting, apart] = [0, 0, 0];
  fc.assert(
    fc.property(steps, (some) => {
      const world = new World();
      const says = new Map<string, readonly Device[]>();
      for (const [at, step] of some.entries()) {
        if (step.kind === "says") {
          join(world, step.host, step.devices, at);
          says.set(step.host, step.devices);
        } else if (step.kind === "ends") {
          const running = [...world.state.allocations.values()].filter(({ state }) => state === "placed");
          const one = running[step.which % Math.max(1, running.length)];
          if (one !== undefined) world.report(one.id, "failed");
        }
        let foretold: string | undefined;
        if (step.kind === "asks") {
          const spec = makeSpec(`job${at}`, {
            requests: { ...resources(100, 64, 1), more: deviceTotals(step.asks) },
            devices: step.asks.toSorted((a, b) => (a.kind < b.kind ? -1 : 1)),
          });
          const dry = unwrap(
            dryRun(world.state, spec, { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId }),
          );
          const [outcome] = dry.tasks.map((task) => task.outcome);
          foretold = outcome?.kind === "placed" ? outcome.hostId : "nowhere";
          world.submit(spec);
        }
        const before = new Map(HOSTS.map((name) => [name, liveOn(world, name)]));
        const found = world.plan();
        for (const name of HOSTS) {
          const others = [...(before.get(name) ?? [])];
          const news = liveOn(world, name).filter(({ job }) => !others.some((one) => one.job === job));
          for (const mine of news) {
            expect(
              wrongOf(mine, says.get(name) ?? [], others),
              `${JSON.stringify(mine)} on ${JSON.stringify(says.get(name))}`,
            ).toEqual([]);
            others.push(mine);
            if (mine.job === `job${at}`) expect(foretold).toBe(name);
            placed += 1;
            if (mine.grants.length > 1) apart += 1;
          }
        }
        for (const job of world.state.jobs.values()) {
          if (job.counts.pending === 0) continue;
          const { devices: wanted = [] } = job.spec;
          const able = HOSTS.filter(
            (name) => says.has(name) && fitsOn(wanted, says.get(name) ?? [], liveOn(world, name)),
          );
          expect(able, `${job.name} waits: ${JSON.stringify(wanted)} ${found.join()}`).toEqual([]);
          const answer = unwrap(why(world.state, "media" as ProjectName, job.name, 0, world.nowMs));
          expect(answer.outcome.kind).not.toBe("placed");
          expect(answer.sentence).toMatch(/\S/);
          waiting += 1;
        }
      }
    }),
    { numRuns: 100 },
  );
  expect(Math.min(placed, waiting, apart)).toBeGreaterThan(50);
});
