/**
 * Whose turn it is, by a model of its own: dominant resource fairness as Ghodsi et al. describe it, with what was held before
 * as an integral over time. It shares nothing with the core but the order of bands, and follows what the core serves task by task.
 */
import { PRIORITY_BANDS, type JobSpec, type ProjectName } from "@berth/schema";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideProject } from "./index.ts";
import { makeSpec, resources, unwrap, World } from "./testing/world.ts";

const HOUR = 3_600_000;
const TOTAL = [24_000, 24_000, 240] as const;
const PROJECTS = ["ann", "bob", "cyd", "dan"] as const;
type Project = (typeof PROJECTS)[number];
type Amounts = readonly [number, number, number];

interface Wanted {
  readonly project: Project;
  readonly name: string;
  readonly each: Amounts;
  readonly count: number;
  readonly gang: number;
  readonly band: number;
}
/** Held by a project for so long, until so long before now. */
interface Past {
  readonly project: Project;
  readonly each: Amounts;
  readonly count: number;
  readonly hours: number;
}

const amounts: fc.Arbitrary<Amounts> = fc.tuple(
  fc.integer({ min: 1, max: 6 }).map((one) => one * 500),
  fc.integer({ min: 1, max: 6 }).map((one) => one * 500),
  fc.integer({ min: 1, max: 20 }),
);
const wanted = fc.record({
  project: fc.constantFrom(...PROJECTS),
  each: amounts,
  count: fc.integer({ min: 1, max: 9 }),
  gang: fc.constantFrom(0, 0, 0, 2, 3),
  band: fc.constantFrom(1, 2, 2, 2),
});
const past = fc.record({
  project: fc.constantFrom(...PROJECTS),
  each: amounts,
  count: fc.integer({ min: 1, max: 3 }),
  hours: fc.integer({ min: 1, max: 30 }),
});

const specOf = ({ project, name, each: [cpu, memory, pids], count, gang, band }: Wanted): JobSpec =>
  makeSpec(name, {
    ...{ project, count, requests: resources(cpu, memory, pids) },
    priority: { band: PRIORITY_BANDS[band] ?? "batch", level: 50 },
    ...(gang > 0 && gang <= count && { gangMin: gang }),
  });

const largest = (held: readonly number[]): number => Math.max(...held.map((amount, at) => amount / (TOTAL[at] ?? 1)));

/** What each project held on average lately, each hour counting half of what it did six hours later. */
const lately = (pasts: readonly Past[]): Map<Project, number> => {
  const end = pasts.reduce((sum, { hours }) => sum + hours, 0);
  const sums = new Map<Project, number>();
  let from = 0;
  for (const { project, each, count, hours } of pasts) {
    const weightOf = (at: number): number => 2 ** (-(end - at) / 6);
    const share = largest(each.map((one) => one * count));
    sums.set(project, (sums.get(project) ?? 0) + share * (weightOf(from + hours) - weightOf(from)));
    from += hours;
  }
  return sums;
};

const spend = (world: World, pasts: readonly Past[]): void => {
  for (const [at, { project, each, count, hours }] of pasts.entries()) {
    world.submit(specOf({ project, each, count, name: `past${at}`, gang: 0, band: 1 }));
    world.plan();
    world.nowMs += hours * HOUR;
    for (const { id, job } of [...world.state.allocations.values()])
      if (job === (`past${at}` as never)) world.report(id, "exited", null);
  }
};

interface Waiting extends Wanted {
  readonly order: number;
  left: number;
  /** Of its gang, before one is placed; 1 from then on. */
  together: number;
}

/** Follows what was served; says where another was next. */
const wrongTurns = (
  served: readonly string[],
  wants: readonly Wanted[],
  recent: ReadonlyMap<Project, number>,
  weights: ReadonlyMap<Project, number>,
): string[] => {
  const waiting = wants.map((one, order): Waiting => ({
    ...one,
    order,
    left: one.count,
    together: one.gang > 0 && one.gang <= one.count ? one.gang : 1,
  }));
  const free: number[] = [...TOTAL];
  const held = new Map<Project, number[]>(PROJECTS.map((project) => [project, [0, 0, 0]]));
  const shareOf = (project: Project): number =>
    ((largest(held.get(project) ?? []) + (recent.get(project) ?? 0)) * 100) / (weights.get(project) ?? 100);
  const fits = ({ each, together, left }: Waiting): boolean =>
    left > 0 && each.every((one, at) => one * together <= (free[at] ?? 0));
  const wrong: string[] = [];
  for (let at = 0; at < served.length;) {
    const mine = waiting.find(({ project, name }) => served[at] === `${project}/${name}`);
    if (mine === undefined || !fits(mine)) return [...wrong, `${served[at]} has no turn`];
    for (const other of waiting) {
      if (other === mine || !fits(other) || other.band > mine.band) continue;
      const [ours, theirs] = [shareOf(mine.project), shareOf(other.project)];
      const isBefore =
        other.band < mine.band || (other.project === mine.project ? other.order < mine.order : theirs < ours - 1e-9);
      if (isBefore) wrong.push(`${at}: ${other.project}/${other.name} (${theirs}) before ${served[at]} (${ours})`);
    }
    for (let many = 0; many < mine.together; many += 1, at += 1)
      if (served[at] !== `${mine.project}/${mine.name}`)
        wrong.push(`${at}: a part of the gang ${mine.name} is missing`);
    for (const [dimension, one] of mine.each.entries()) {
      free[dimension] = (free[dimension] ?? 0) - one * mine.together;
      const sums = held.get(mine.project) ?? [];
      sums[dimension] = (sums[dimension] ?? 0) + one * mine.together;
    }
    mine.left -= mine.together;
    mine.together = 1;
  }
  for (const one of waiting) if (fits(one)) wrong.push(`${one.project}/${one.name} fits and was not served`);
  return wrong;
};

const serve = (world: World, atMost: number): string[] => {
  const served: string[] = [];
  for (let lines = world.plan(atMost); lines.length > 0; lines = world.plan(atMost))
    served.push(...lines.map((line) => line.slice(0, line.indexOf("["))));
  return served;
};

describe("fair share against a model of its own", () => {
  it("serves whoever the model says, however plans are cut and whatever was held before", () => {
    fc.assert(
      fc.property(
        fc.array(wanted, { minLength: 1, maxLength: 9 }),
        fc.array(past, { maxLength: 4 }),
        fc.array(fc.constantFrom(50, 100, 200, 300), { minLength: 4, maxLength: 4 }),
        fc.constantFrom(3, 7, 1_000),
        (some, pasts, weights, atMost) => {
          const world = new World();
          const ofProject = new Map(PROJECTS.map((project, at) => [project, weights[at] ?? 100]));
          for (const [project, weight] of ofProject)
            world.append(unwrap(decideProject(world.state, { name: project as ProjectName, weight }, "ann")));
          world.host("h1", resources(TOTAL[0], TOTAL[1], TOTAL[2]));
          spend(world, pasts);
          const wants = some.map((one, at) => ({ ...one, name: `job${at}` }));
          for (const one of wants) world.submit(specOf(one));
          const served = serve(world, atMost);
          expect(wrongTurns(served, wants, lately(pasts), ofProject), served.join(" ")).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
  });
});
