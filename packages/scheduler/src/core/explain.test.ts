import type { JobName, ProjectName } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { decideStop, dryRun, jobView, why } from "./index.ts";
import { host, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const ask = (world: World, job: string, index = 0) =>
  unwrap(why(world.state, "media" as ProjectName, job as JobName, index, world.nowMs));
const sentence = (world: World, job: string, index = 0): string => ask(world, job, index).sentence;

describe("why", () => {
  it("says of a task that is placed where it could be now, and changes nothing by that", () => {
    const world = new World();
    for (const [name, cpus] of [
      ["h1", 4000],
      ["h2", 8000],
      ["h3", 1000],
    ] as const)
      world.host(name, resources(cpus, 8192));
    world.submit(makeSpec("web", { kind: "service", requests: resources(3000, 1024, 10) }));
    world.plan();
    const { now, outcome } = ask(world, "web");
    // h1 would be full without its own room given back, and h3 is too small.
    expect(now?.map(({ hostId }) => hostId)).toEqual(["h1", "h2"]);
    expect(outcome).toMatchObject({ kind: "placed", hostId: "h1", runnersUp: [] });
    const scores = now?.map(({ score }) => score.total) ?? [];
    expect(scores[0]).toBeGreaterThan(scores[1] ?? Number.NaN);
    expect(ask(world, "web").now).toEqual(now);
    world.append(unwrap(decideStop(world.state, "media" as ProjectName, "web" as JobName, "ann")));
    expect(ask(world, "web").now).toBeUndefined();
  });

  it("names every host with its first failing check, and what would help", () => {
    const world = new World();
    world.host("h1", resources(8000, 8192));
    world.host("h2", resources(8000, 8192));
    world.host("h3", resources(500, 8192));
    world.host("h4", resources(3000, 1024));
    world.submit(makeSpec("fill", { requests: resources(1000, 7680, 10) }));
    world.plan();
    world.append(silence(world.state, host("h2"), 9_000));
    world.submit(makeSpec("thumbs", { requests: resources(1500, 1024, 10), count: 3 }));
    world.plan();
    const { sentence: text, outcome } = ask(world, "thumbs", 1);
    expect(text).toMatchInlineSnapshot(
      `"0 of 4 hosts can take media/thumbs[1]: h1 lacks memory (512 MiB short), h2 is lost, h3 is too small (cpu: 1 CPU more than it has in all), h4 lacks memory (1 GiB short)"`,
    );
    expect(outcome).toMatchInlineSnapshot(`
      {
        "hosts": [
          {
            "dimension": "memoryBytes",
            "free": 536870912,
            "hostId": "h1",
            "reason": "exhausted",
            "requested": 1073741824,
            "short": 536870912,
          },
          {
            "hostId": "h2",
            "reason": "lost",
          },
          {
            "dimension": "cpuMillis",
            "free": 500,
            "hostId": "h3",
            "reason": "too_small",
            "requested": 1500,
            "short": 1000,
          },
          {
            "dimension": "memoryBytes",
            "free": 0,
            "hostId": "h4",
            "reason": "exhausted",
            "requested": 1073741824,
            "short": 1073741824,
          },
        ],
        "kind": "blocked",
        "unblockedBy": [
          {
            "dimension": "memoryBytes",
            "hostId": "h1",
            "kind": "free_resources",
            "short": 536870912,
          },
          {
            "dimension": "memoryBytes",
            "hostId": "h4",
            "kind": "free_resources",
            "short": 1073741824,
          },
          {
            "dimension": "memoryBytes",
            "kind": "reduce_request",
            "to": 536870912,
          },
          {
            "dimension": "cpuMillis",
            "kind": "reduce_request",
            "to": 500,
          },
          {
            "above": "production",
            "kind": "raise_priority",
            "victims": 1,
          },
          {
            "kind": "add_host",
          },
        ],
      }
    `);
  });

  it("tells each stage of a task", () => {
    const world = new World();
    const lines: string[] = [];
    const note = (job: string, index = 0): void => void lines.push(sentence(world, job, index));
    world.submit(makeSpec("a", { count: 2, maxRunning: 1, restart: { on: "failure", max: 1 } }));
    note("a");
    world.host("h1");
    note("a");
    world.plan();
    note("a");
    note("a", 1);
    world.report(world.active("a"), "running");
    note("a");
    world.exit("a", 0, 3);
    note("a");
    world.nowMs += 1_000;
    note("a");
    world.plan();
    world.exit("a", 0, 4);
    note("a");
    world.plan();
    world.exit("a", 1, 0);
    note("a", 1);
    world.submit(makeSpec("web", { kind: "service" }));
    world.plan();
    world.submit(makeSpec("web", { kind: "service", command: ["new"] }));
    note("web");
    world.append(silence(world.state, host("h1"), 9_000));
    note("web");
    const { project, name } = world.job("web");
    world.append(unwrap(decideStop(world.state, project, name, "ann")));
    note("web");
    expect(lines).toMatchInlineSnapshot(`
      [
        "no host can take media/a[0]: none has registered yet",
        "media/a[0] would be placed on h1",
        "media/a[0] is placed on h1",
        "media/a[1] waits for its turn: 1 of at most 1 tasks of its job hold a place",
        "media/a[0] runs on h1",
        "media/a[0] is tried again in 1s, as attempt 2; attempt 1 ended with exit code 3",
        "media/a[0] would be placed on h1",
        "media/a[0] failed with exit code 4",
        "media/a[1] succeeded",
        "media/web[0] starts when its previous allocation has ended on h1",
        "media/web[0] is on h1, which is lost; 0 of 1 host can take media/web[0]: h1 is lost",
        "media/web[0] is being stopped on h1, which is lost: it is stopped there when h1 returns",
      ]
    `);
  });

  it("names five hosts and counts the rest", () => {
    const world = new World();
    for (let at = 1; at <= 7; at += 1) world.host(`h${at}`, resources(500, 8192));
    world.submit(makeSpec("a"));
    expect(sentence(world, "a")).toMatchInlineSnapshot(
      `"0 of 7 hosts can take media/a[0]: h1 is too small (cpu: 0.5 CPUs more than it has in all), h2 is too small (cpu: 0.5 CPUs more than it has in all), h3 is too small (cpu: 0.5 CPUs more than it has in all), h4 is too small (cpu: 0.5 CPUs more than it has in all), h5 is too small (cpu: 0.5 CPUs more than it has in all), 2 more hosts likewise cannot"`,
    );
    expect(ask(world, "a").outcome).toMatchObject({ kind: "blocked", hosts: { length: 7 } });
  });

  it("has a problem for what is not there", () => {
    const world = new World();
    world.submit(makeSpec("a", { count: 3 }));
    const problem = (job: string, index: number) => {
      const answer = why(world.state, "media" as ProjectName, job as JobName, index, 0);
      return answer.ok ? "" : `${answer.error.code}: ${answer.error.detail}`;
    };
    expect(problem("b", 0)).toBe("job.not_found: there is no job media/b");
    expect(problem("a", 3)).toBe("task.not_found: media/a has no task 3; its tasks are 0 to 2");
  });
});

describe("a job's pending reason", () => {
  const reason = (world: World, job: string) =>
    jobView(world.state, world.job(job).key, world.nowMs, true)?.pendingReason;

  it("is there exactly while something keeps its tasks from running", () => {
    const world = new World();
    world.submit(makeSpec("a", { count: 3 }));
    expect(reason(world, "a")).toBe("no host can take media/a[0]: none has registered yet; 2 more tasks wait");
    world.host("h1", resources(2000, 8192));
    expect(reason(world, "a")).toBeNull();
    world.plan();
    expect(reason(world, "a")).toBe("0 of 1 host can take media/a[2]: h1 lacks cpu (1 CPU short)");
    world.exit("a", 0, 0);
    world.plan();
    expect(reason(world, "a")).toBeNull();
    world.append(silence(world.state, host("h1"), 9_000));
    expect(reason(world, "a")).toBe("media/a[1] is on h1, which is lost; 0 of 1 host can take media/a[1]: h1 is lost");
  });
});

describe("a dry run", () => {
  const env = (world: World) => ({ nowMs: world.nowMs, makeAllocationId: world.makeAllocationId });
  const plan = (world: World, spec: ReturnType<typeof makeSpec>) => unwrap(dryRun(world.state, spec, env(world)));

  it("shows the host of every task, what is held, and what is blocked", () => {
    const world = new World();
    world.host("h1", resources(2000, 8192), ["io limits need the io controller"]);
    world.host("h2", resources(1000, 2048), ["io limits need the io controller", "network shaping needs sch_htb"]);
    world.host("h3", resources(100, 2048), ["never used"]);
    const { tasks, ...rest } = plan(world, makeSpec("a", { count: 5, maxRunning: 4 }));
    expect([...tasks.map((task) => task.sentence), rest]).toMatchInlineSnapshot(`
      [
        "media/a[0] would be placed on h2",
        "media/a[1] would be placed on h1",
        "media/a[2] would be placed on h1",
        "0 of 3 hosts can take media/a[3]: h1 lacks cpu (1 CPU short), h2 lacks cpu (1 CPU short), h3 is too small (cpu: 0.9 CPUs more than it has in all)",
        "media/a[4] waits like the task before it",
        {
          "action": "create",
          "job": "a",
          "project": "media",
          "revision": 7,
          "stops": 0,
          "version": 1,
          "warnings": [
            "h1, h2: io limits need the io controller",
            "h2: network shaping needs sch_htb",
          ],
        },
      ]
    `);
    expect(tasks[0]?.outcome).toMatchInlineSnapshot(`
      {
        "hostId": "h2",
        "kind": "placed",
        "runnersUp": [
          {
            "hostId": "h1",
            "score": {
              "parts": [
                {
                  "name": "fullness",
                  "value": 0.391458,
                  "weight": 1,
                },
              ],
              "total": 0.391458,
            },
          },
        ],
        "score": {
          "parts": [
            {
              "name": "fullness",
              "value": 0.646667,
              "weight": 1,
            },
          ],
          "total": 0.646667,
        },
      }
    `);
    expect(world.state.jobs.size).toBe(0);
  });

  it("counts what it would stop, and holds the tasks that wait for that", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("web", { kind: "service", count: 2 }));
    world.plan();
    const view = plan(world, makeSpec("web", { kind: "service", count: 3, command: ["new"] }));
    expect(view).toMatchObject({ action: "replace", version: 2, stops: 2 });
    expect(view.tasks.map((task) => task.outcome.kind)).toEqual(["held", "held", "placed"]);
    expect(plan(world, makeSpec("web", { kind: "service", count: 2 }))).toMatchObject({
      action: "unchanged",
      stops: 0,
    });
  });

  it("stays small for an array of any size", () => {
    const world = new World();
    for (let at = 0; at < 50; at += 1) world.host(`h${at}`, resources(1000, 1024, 10));
    const view = plan(world, makeSpec("a", { count: 100_000 }));
    expect(view.tasks).toHaveLength(1000);
    expect(view.warnings).toEqual([
      "only the first 1000 of 100000 tasks are listed; of all, 50 would be placed now, 0 held, 99950 blocked",
    ]);
    expect(JSON.stringify(view).length).toBeLessThan(4_000_000);
  });
});
