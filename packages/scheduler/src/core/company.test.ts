/** What is learned of how long work stays, from the log to the plan and the explanation. */
import type { JobName, JobSpec, ProjectName, ScoreBreakdown } from "@berth/schema";
import { expect, it } from "vitest";
import { createState, imageOf, restoreImage, why, type ClusterState, type ImageLine } from "./index.ts";
import { makeSpec, resources, unwrap, World } from "./testing/world.ts";

const HOUR = 3_600_000;

/** Two idle hosts in two racks, and 16 tasks that each stayed for ten hours. */
const learned = (): World => {
  const world = new World();
  for (const [at, rack] of ["a", "b"].entries()) world.host(`h${at + 1}`, resources(4000, 8192, 1000), [], { rack });
  world.submit(makeSpec("gone", { count: 16, requests: resources(100, 100, 1) }));
  world.plan();
  world.nowMs += 10 * HOUR;
  for (let index = 0; index < 16; index += 1) world.exit("gone", index, 0);
  return world;
};

const serve = (world: World, name: string, changes: Partial<JobSpec> = {}): void => {
  world.submit(makeSpec(name, { kind: "service", ...changes } as never));
  world.plan();
};

const hostOf = (world: World, job: string, index = 0): string | undefined =>
  world.state.allocations.get(world.active(job, index))?.hostId;

const whyNow = (state: ClusterState, job: string, nowMs: number) =>
  unwrap(why(state, "media" as ProjectName, job as JobName, 0, nowMs)).now ?? [];

const companyIn = ({ parts }: ScoreBreakdown): number | undefined =>
  parts.find(({ name }) => name === "inCompany")?.value;

it("places a service where others stay as long, and says so", () => {
  const world = learned();
  serve(world, "first", { placement: { require: ['host.labels.rack == "b"'] } });
  expect(hostOf(world, "first")).toBe("h2");
  serve(world, "second");
  expect(hostOf(world, "second")).toBe("h2");
  const score = whyNow(world.state, "second", world.nowMs)[0]?.score;
  expect(companyIn(score as ScoreBreakdown)).toBeGreaterThan(0.5);
});

it("goes by what a job would rather have before anything is guessed", () => {
  const world = learned();
  serve(world, "first");
  serve(world, "web", { count: 2, placement: { spread: [{ by: "host.labels.rack", weight: 100 }] } });
  expect(hostOf(world, "web", 0)).not.toBe(hostOf(world, "web", 1));
  const other = learned();
  serve(other, "first");
  expect(hostOf(other, "first")).toBe("h1");
  serve(other, "choosy", { placement: { prefer: [{ rule: 'host.labels.rack == "b"', weight: 100 }] } });
  expect(hostOf(other, "choosy")).toBe("h2");
});

it("why counts nobody as his own company, and asks as of now, also after a restart", () => {
  const world = learned();
  serve(world, "alone");
  const own = whyNow(world.state, "alone", world.nowMs)[0];
  expect(own?.hostId).toBe("h1");
  expect(companyIn(own?.score as ScoreBreakdown)).toBe(0);
  serve(world, "beside", { placement: { require: ['host.id == "h1"'] } });
  // Nothing has been planned since, and time has passed.
  const laterMs = world.nowMs + 9 * HOUR;
  const later = whyNow(world.state, "beside", laterMs);
  expect(companyIn(later[0]?.score as ScoreBreakdown)).toBeLessThan(0.5);
  const again = createState();
  restoreImage(again, JSON.parse(JSON.stringify([...imageOf(world.state)])) as ImageLine[]);
  expect(whyNow(again, "beside", laterMs)).toEqual(later);
  // Whoever asked has changed nothing.
  expect(whyNow(world.state, "beside", laterMs)).toEqual(later);
});
