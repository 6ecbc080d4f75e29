/** Hints where rules and devices stand in the way: each of them, followed by itself, lets the task run. */
import type { Device, DeviceAsk, Hello, HostId, JobName, PlacementRules, ProjectName } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { decideEnrol, decideHello, why } from "./index.ts";
import { host, makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const ZONE = "host.labels.zone";

interface HostPlan {
  readonly cpu: number;
  readonly zone: string | null;
  readonly model: string;
}

const hosts = fc.array(
  fc.record({
    cpu: fc.integer({ min: 1, max: 6 }),
    zone: fc.constantFrom("a", "b", null),
    model: fc.constantFrom("A", "B"),
  }),
  { minLength: 1, maxLength: 4 },
);

const helloOf = ({ cpu, zone, model }: HostPlan, session = "session-0000000001"): Hello => {
  const all = { ...resources(cpu * 1000, 8192), more: { "gpu.milli": 2000 } };
  const devices: Device[] = ["0", "1"].map((id) => ({ kind: "gpu", id, model, has: { milli: 1000 } }));
  const hello = makeHello(all, session, [], zone === null ? {} : { zone });
  return { ...hello, capacity: { ...hello.capacity, devices } };
};

const group = fc.constantFrom("red", "blue");
const by = fc.constantFrom("host", ZONE);
const rules: fc.Arbitrary<PlacementRules> = fc.record(
  {
    require: fc.uniqueArray(fc.constantFrom(`${ZONE} == "a"`, `has(${ZONE})`, `host.id != "h0"`, "host.cpuCount > 9"), {
      minLength: 1,
      maxLength: 2,
    }),
    spread: fc.tuple(fc.record({ by, maxSkew: fc.constant(1) })),
    apart: fc.tuple(fc.record({ group, by })),
    together: fc.tuple(fc.record({ group, by })),
    groups: fc.tuple(group),
    maxPerHost: fc.constant(1),
  },
  { requiredKeys: [] },
);

const ask = (milli: number, ...models: string[]): DeviceAsk => ({ kind: "gpu", count: 1, each: { milli }, models });
const device: fc.Arbitrary<DeviceAsk[]> = fc.array(
  fc.constantFrom(ask(300, "A"), ask(700, "B"), ask(1000, "A"), ask(1000, "A", "B")),
  { maxLength: 1 },
);

const requestsOf = (cpu: number, asks: readonly DeviceAsk[]) => ({
  ...resources(cpu * 1000, 1024, 10),
  ...(asks[0] !== undefined && { more: { "gpu.milli": asks[0].each["milli"] ?? 0 } }),
});

/** The rules without the one that is named so. */
const without = (all: PlacementRules, named: string): PlacementRules => {
  const isNamed = (text: string): boolean => named === text || named === `${text} by ${ZONE}`;
  const { maxPerHost, ...others } = all;
  return {
    ...others,
    require: (all.require ?? []).filter((rule) => rule !== named),
    spread: (all.spread ?? []).filter((one) => named !== `spread by ${one.by}, maxSkew ${one.maxSkew}`),
    apart: (all.apart ?? []).filter((one) => !isNamed(`apart from ${one.group}`)),
    together: (all.together ?? []).filter((one) => !isNamed(`together with ${one.group}`)),
    groups: (all.groups ?? []).filter((one) => named !== `groups: ${one}`),
    ...(maxPerHost !== undefined && named !== `maxPerHost ${maxPerHost}` && { maxPerHost }),
  };
};

const job = fc.record({ cpu: fc.integer({ min: 1, max: 6 }), asks: device, placement: rules });
type Job = { cpu: number; asks: DeviceAsk[]; placement: PlacementRules };

const add = (world: World, name: string, plan: HostPlan): void => {
  world.append(unwrap(decideEnrol(world.state, { id: host(name), publicKey: `U${"A".repeat(55)}`, by: "admin" })));
  world.append(unwrap(decideHello(world.state, host(name), helloOf(plan))));
};

const specOf = (name: string, { asks, cpu, placement }: Job) =>
  makeSpec(name, { requests: requestsOf(cpu, asks), placement, ...(asks.length > 0 && { devices: asks }) });

it("every hint about rules, room and requests lets the task run", () => {
  fc.assert(
    fc.property(hosts, fc.array(job, { maxLength: 5 }), job, (machines, fill, wanted) => {
      const build = (): World => {
        const world = new World();
        machines.forEach((one, at) => add(world, `h${at}`, one));
        fill.forEach((one, at) => world.submit(specOf(`fill${at}`, one)));
        world.plan();
        for (const { activeTasks, name, project } of [...world.state.jobs.values()])
          if (activeTasks === 0) world.append([{ kind: "job_stopped", project, job: name, by: "t" }]);
        return world;
      };
      const before = build();
      before.submit(specOf("task", wanted));
      const isPlaced = before.plan().length > 0;
      const { outcome } = unwrap(why(before.state, "media" as ProjectName, "task" as JobName, 0, before.nowMs));
      expect(outcome.kind).toBe(isPlaced ? "placed" : "blocked");
      if (outcome.kind !== "blocked") return;
      for (const hint of outcome.unblockedBy) {
        const world = build();
        let changed = wanted;
        if (hint.kind === "relax_rule") changed = { ...wanted, placement: without(wanted.placement, hint.rule) };
        else if (hint.kind === "reduce_request") changed = { ...wanted, cpu: hint.to / 1000 };
        else if (hint.kind === "free_resources") {
          const at = Number(hint.hostId.slice(1));
          const more = { ...(machines[at] as HostPlan), cpu: (machines[at] as HostPlan).cpu + hint.short / 1000 };
          world.append(unwrap(decideHello(world.state, hint.hostId as HostId, helloOf(more, "session-0000000002"))));
        } else continue;
        world.submit(specOf("task", changed));
        expect(world.plan(), JSON.stringify(hint)).toHaveLength(1);
      }
    }),
    { numRuns: 300 },
  );
});
