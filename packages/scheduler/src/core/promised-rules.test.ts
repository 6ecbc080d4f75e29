/** Who is promised a host does not stand there yet: rules that speak of him do not find him there. */
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
