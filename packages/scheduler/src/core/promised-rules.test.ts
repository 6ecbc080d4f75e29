/** Who is promised a host does not stand there yet: rules that speak of him do not find him there. */
import type { HostId, JobName, ProjectName } from "@berth/schema";
import { expect, it } from "vitest";
import { makeSpec, resources, World } from "./testing/world.ts";

it("nobody is put together with one to whom a host is only promised", () => {
  const world = new World();
  for (const name of ["h1", "h2"]) world.host(name, resources(4_000, 8_192));
  const on = (name: string) => ({ require: [`host.id == "${name}"`] });
  const requests = (cpuMillis: number) => ({ requests: resources(cpuMillis, 100, 10) });
  world.submit(makeSpec("runs", { ...requests(3_000), runTimeoutMs: 100_000, placement: on("h1") }));
  world.submit(makeSpec("web", { kind: "service", ...requests(1_000), placement: { ...on("h2"), groups: ["web"] } }));
  world.plan();
  world.submit(makeSpec("head", { ...requests(4_000), placement: { ...on("h1"), groups: ["web"] } }));
  const near = { ...on("h1"), together: [{ group: "web" }] };
  world.submit(makeSpec("near", { ...requests(500), runTimeoutMs: 10_000, placement: near }));
  expect(world.plan()).toEqual([]);
});

it("two for whom room is kept apart do not wait for each other where each may only be with the other", () => {
  const world = new World();
  for (const name of ["h1", "h2"]) world.host(name, resources(4_000, 8_192));
  const placement = { groups: ["web"], together: [{ group: "web" }], maxPerHost: 1 };
  world.submit(makeSpec("pair", { requests: resources(500, 100, 10), count: 2, placement }));
  const pair = { project: "media" as ProjectName, job: "pair" as JobName, jobVersion: 1, victims: [] };
  world.append(
    ["h1", "h2"].map((name, index) => ({ ...{ kind: "room_reserved" }, ...pair, index, hostId: name as HostId })),
  );
  expect(world.plan()).toEqual([expect.stringContaining("media/pair[0]#1 → ")]);
  expect(world.plan()).toEqual([]);
  world.exit("pair", 0, 0);
  expect(world.plan()).toEqual([expect.stringContaining("media/pair[1]#1 → ")]);
});
