/** The whole scheduler against a real nats-server and an agent that only speaks: submission to the end of a job. */
import { describe, expect, test } from "vitest";
import { startFakeAgent } from "./testing/fake-agent.ts";
import { batch, startScheduler } from "./testing/scheduler.ts";
import { eventually } from "./testing/temp.ts";

describe("a job", () => {
  test("is placed, told to its host by a signed document, and ends with the code that was reported", async () => {
    const scheduler = await startScheduler();
    const agent = await startFakeAgent(scheduler, {
      id: "h1",
      behave: (allocation) => ({ code: allocation.index === 2 ? 7 : 0 }),
    });
    const submitted = await scheduler.call("POST", "/v1/jobs", batch("three", { array: { size: 3 } }));
    expect(submitted.status, submitted.text).toBe(201);
    const job = await eventually("the end of the job", async () => {
      const answer = await scheduler.call("GET", "/v1/jobs/default/three");
      return answer.body.finishedAtMs === null ? undefined : answer.body;
    });
    expect(job).toMatchObject({ state: "failed", exitCode: 7, tasks: { succeeded: 2, failed: 1 } });
    expect(agent.started).toHaveLength(3);
    expect(agent.problems).toEqual([]);
    const list = await scheduler.call("GET", "/v1/allocations?job=three");
    expect(list.body.items.map((item: { state: string; hostId: string }) => [item.state, item.hostId])).toEqual([
      ["exited", "h1"],
      ["exited", "h1"],
      ["exited", "h1"],
    ]);
  });
});
