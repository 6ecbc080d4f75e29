/** Explanations are checked against what the packer does: a task is said to be blocked exactly when it is not placed. */
import type { Dimension, HostId, JobName, ProjectName } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { decideHello, dryRun, why } from "./index.ts";
import { makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const amounts = fc.tuple(
  fc.integer({ min: 1, max: 6 }),
  fc.integer({ min: 1, max: 6 }),
  fc.integer({ min: 1, max: 6 }),
);
const toResources = ([cpu, memory, pids]: [number, number, number]) => resources(cpu * 1000, memory * 1024, pids * 10);

it("every hint, followed by itself, lets the task run", () => {
  fc.assert(
    fc.property(
      fc.array(amounts, { minLength: 1, maxLength: 4 }),
      fc.array(amounts, { maxLength: 4 }),
      amounts,
      (hosts, fill, wanted) => {
        const build = (): World => {
          const world = new World();
          hosts.forEach((all, at) => world.host(`h${at}`, toResources(all)));
          fill.forEach((requests, at) => world.submit(makeSpec(`fill${at}`, { requests: toResources(requests) })));
          world.plan();
          // Fillers that found no room would compete with the task for what a hint frees.
          for (const job of [...world.state.jobs.values()]) {
            if (job.activeTasks === 0)
              world.append([{ kind: "job_stopped", project: job.project, job: job.name, by: "t" }]);
          }
          return world;
        };
        const before = build();
        before.submit(makeSpec("task", { requests: toResources(wanted) }));
        const placed = before.plan().length > 0;
        const { outcome } = unwrap(why(before.state, "media" as ProjectName, "task" as JobName, 0, 0));
        expect(outcome.kind).toBe(placed ? "placed" : "blocked");
        if (outcome.kind !== "blocked") return;
        expect(outcome.hosts).toHaveLength(hosts.length);
        for (const hint of outcome.unblockedBy) {
          const world = build();
          let requests = toResources(wanted);
          const isRaised = hint.kind === "raise_priority";
          if (hint.kind === "add_host") world.host("new", requests);
          else if (hint.kind === "reduce_request") requests = { ...requests, [hint.dimension]: hint.to };
          else if (hint.kind === "free_resources") {
            // Freeing so much on that host is the same to the packer as the host having so much more.
            const all = world.state.hosts.get(hint.hostId as HostId)?.allocatable ?? requests;
            const more = { ...all, [hint.dimension]: all[hint.dimension as Dimension] + hint.short };
            world.append(unwrap(decideHello(world.state, hint.hostId, makeHello(more, "session-0000000002"))));
          }
          world.submit(makeSpec("task", { requests, ...(isRaised && { priority: { band: "system", level: 50 } }) }));
          expect(world.plan(), JSON.stringify(hint)).toHaveLength(1);
        }
      },
    ),
  );
});

it("a dry run foretells the plan, host by host", () => {
  fc.assert(
    fc.property(
      fc.array(amounts, { maxLength: 5 }),
      amounts,
      fc.integer({ min: 1, max: 12 }),
      (hosts, wanted, count) => {
        const world = new World();
        hosts.forEach((all, at) => world.host(`h${at}`, toResources(all)));
        const spec = makeSpec("task", { requests: toResources(wanted), count });
        const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
        const foretold = unwrap(dryRun(world.state, spec, env)).tasks.flatMap(({ index, outcome }) =>
          outcome.kind === "placed" ? [`media/task[${index}]#1 → ${outcome.hostId} ${outcome.score.total}`] : [],
        );
        world.submit(spec);
        expect(world.plan()).toEqual(foretold);
      },
    ),
  );
});
