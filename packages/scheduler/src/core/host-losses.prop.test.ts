/** Which host could be lost, and what would not fit, against what follows in the log when it is lost. */
import type { HostId, JobSpec } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { hostLosses, whatIf } from "./index.ts";
import { host, idMaker, makeExit, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const job = fc.record({
  kind: fc.constantFrom("batch" as const, "service" as const, "daemon" as const),
  cpu: fc.integer({ min: 1, max: 4 }),
  count: fc.integer({ min: 1, max: 4 }),
  band: fc.constantFrom("besteffort" as const, "production" as const),
  gang: fc.boolean(),
  rules: fc.constantFrom<JobSpec["placement"][]>(
    undefined,
    undefined,
    { maxPerHost: 1 },
    { spread: [{ by: "host.labels.rack", maxSkew: 1 }] },
    { groups: ["a"], apart: [{ group: "b" }] },
    { groups: ["b"] },
    { together: [{ group: "a", by: "host.labels.rack" }] },
  ),
});

const where = (world: World): Map<string, string> =>
  new Map(
    [...world.state.jobs.values()].flatMap((one) =>
      one.tasks.flatMap(({ active, index }) => {
        const allocation = active === null ? undefined : world.state.allocations.get(active);
        return allocation === undefined || allocation.desired === "stop"
          ? []
          : [[`${one.name}[${index}]`, allocation.hostId] as const];
      }),
    ),
  );

/** Everything that is stopped ends, and what that leads to follows. */
const settle = (world: World): void => {
  for (let round = 0; round < 12; round += 1) {
    world.nowMs += 61_000;
    const lines = world.plan();
    let ended = 0;
    for (const { id, desired, hostId, state } of [...world.state.allocations.values()]) {
      if (desired !== "stop" || ["exited", "failed", "lost"].includes(state)) continue;
      if (world.state.hosts.get(hostId)?.state === "lost") continue;
      world.report(id, "exited", makeExit(143, { cause: "stopped" }));
      ended += 1;
    }
    if (lines.length + ended === 0) return;
  }
};

it("what if a host were lost is what follows when it is, and the standing answer says the same", () => {
  let lost = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 2, max: 8 }), fc.constantFrom("a", "b")), { minLength: 1, maxLength: 4 }),
      fc.array(job, { minLength: 1, maxLength: 5 }),
      (hosts, jobs) => {
        const world = new World();
        hosts.forEach(([cpu, rack], at) => world.host(`h${at}`, resources(cpu * 1000, 65_536, 1000), [], { rack }));
        jobs.forEach(({ band, count, cpu, gang, kind, rules }, at) => {
          const isDaemon = kind === "daemon";
          const spec = makeSpec(`j${at}`, {
            ...{ kind, count: isDaemon ? 0 : count, requests: resources(cpu * 1000, 64, 1) },
            ...{ priority: { band, level: 50 } },
            ...(gang && !isDaemon && count > 1 && { gangMin: count }),
            ...(rules !== undefined && !isDaemon && { placement: rules }),
          });
          world.submit(spec);
          settle(world);
          for (const { id, state } of [...world.state.allocations.values()])
            if (state === "placed") world.report(id, "running");
        });
        settle(world);
        const before = where(world);
        const waiting = [...world.state.jobs.values()].some(({ counts }) => counts.pending > 0);
        fc.pre(!waiting);
        const loss = [...hostLosses(world.state, world.nowMs)].find((one) => one.host === "h0");
        const view = unwrap(
          whatIf(world.state, { lose: ["h0" as HostId] }, { nowMs: world.nowMs, makeAllocationId: idMaker() }),
        );
        world.append([{ kind: "host_lost", hostId: host("h0"), silentMs: 0 }]);
        world.nowMs += 61_000;
        settle(world);
        lost += 1;
        const after = where(world);
        const daemons = new Set(jobs.flatMap(({ kind }, at) => (kind === "daemon" ? [`j${at}`] : [])));
        const orphans = [...before].filter(([task, on]) => on === "h0" && !daemons.has(task.split("[")[0] ?? ""));
        const left = orphans.filter(([task]) => (after.get(task) ?? "h0") === "h0").map(([task]) => task);
        // A gang that is given up makes room, and whom others would have stopped for it depends on what comes first.
        const bands = new Set(jobs.map(({ band }) => band));
        if (bands.size > 1 && jobs.some(({ gang }) => gang)) return;
        // Whoever waits for company may find it when those behind him have been placed: that is the plan after the next.
        const follows = jobs.findIndex(({ rules }) => rules?.together !== undefined);
        if (follows >= 0 && jobs.slice(follows).some(({ rules }) => rules?.groups?.includes("a") === true)) return;
        // Of those who may be stopped for others it is chance who finds room first; not how many do, where all are alike.
        const jobOf = (task: string) => jobs[Number(task.slice(1, task.indexOf("[")))];
        const isSure = (task: string): boolean => bands.size === 1 || jobOf(task)?.band === "production";
        const lesser = jobs.filter(({ band }) => band === "besteffort");
        const areAlike = lesser.every(
          ({ cpu, kind, rules }) => kind !== "daemon" && rules === undefined && cpu === lesser[0]?.cpu,
        );
        const said = view.blocked.map(({ index, job: name }) => `${name}[${index}]`);
        const isDaemon = (task: string): boolean => daemons.has(task.split("[")[0] ?? "");
        const gone = [...before.keys()].filter(
          (task) => !(isDaemon(task) && before.get(task) === "h0") && (after.get(task) ?? "h0") === "h0",
        );
        expect(said.filter(isSure).sort()).toEqual(gone.filter(isSure).sort());
        if (areAlike) expect(said.length).toBe(gone.length);
        // Of a gang that begins anew some may come to stand where they stood.
        const isGang = (task: string): boolean => jobOf(task)?.gang === true;
        const placed = view.placed
          .filter(({ job: name }) => !isGang(`${name}[`) && isSure(`${name}[`))
          .map(({ index, job: name, to }) => `${name}[${index}] ${to}`);
        const moved = [...after]
          .filter(([task, to]) => !isGang(task) && isSure(task) && before.get(task) !== to)
          .map((one) => one.join(" "));
        if (placed.sort().join() !== moved.sort().join())
          throw new Error(`said ${placed.join(", ")} but ${moved.join(", ")}`);
        expect(loss?.tasks).toBe(orphans.length);
        // It speaks of room alone: nobody is stopped for another.
        if (bands.size > 1) return;
        expect(loss?.stranded, loss?.sentence ?? "").toBe(left.length);
        expect(loss?.sentence === null).toBe(left.length === 0);
      },
    ),
    {
      numRuns: 150,
      // A gang that is lost as a whole has nobody elsewhere who must end first: it takes its turn. And those who are stopped for
      // what was lost find no room.
      examples: [
        [
          [
            [4, "a"],
            [6, "a"],
          ],
          [
            { kind: "batch", cpu: 1, count: 2, band: "besteffort", gang: true, rules: undefined },
            { kind: "batch", cpu: 2, count: 3, band: "besteffort", gang: false, rules: undefined },
          ],
        ],
        [
          [
            [4, "a"],
            [4, "a"],
          ],
          [
            { kind: "service", cpu: 4, count: 1, band: "production", gang: false, rules: undefined },
            { kind: "batch", cpu: 2, count: 2, band: "besteffort", gang: false, rules: undefined },
          ],
        ],
      ],
    },
  );
  expect(lost).toBeGreaterThan(20);
}, 120_000);
