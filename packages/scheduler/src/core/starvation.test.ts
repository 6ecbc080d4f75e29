/** Hours of virtual time under work that keeps coming: whoever waits gets a place some day, alone, as a gang, and needing a whole host. */
import { PRIORITY_BANDS, type JobSpec } from "@berth/schema";
import { expect, it } from "vitest";
import { HOLD_MS } from "./backfill.ts";
import { decideForget } from "./index.ts";
import { RISE_MS } from "./queue-order.ts";
import { makeExit, makeSpec, resources, World } from "./testing/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const small = (name: string, band = 1): JobSpec =>
  makeSpec(name, { requests: resources(1000, 512, 1), priority: { band: PRIORITY_BANDS[band] ?? "batch", level: 50 } });

/** Hosts of four small tasks each, and more of those coming every minute than there is room for. Nobody knows how long one takes. */
class Busy {
  readonly world = new World();
  #count = 0;

  constructor(hosts: number, cpuMillis = 4000) {
    for (let at = 0; at < hosts; at += 1) this.world.host(`h${at}`, resources(cpuMillis, 8192, 1000));
  }

  #minute(many: number): void {
    const { world } = this;
    world.nowMs += MINUTE;
    for (let at = 0; at < many; at += 1) world.submit(small(`stream${(this.#count += 1)}`));
    for (const { desired, id, job, placedAtMs, state } of [...world.state.allocations.values()]) {
      if (state === "exited") continue;
      const lasts = 3 + (Number(/^stream(\d+)$/.exec(job)?.[1] ?? Number.NaN) % 5);
      if (desired === "stop") world.report(id, "exited", makeExit(143));
      else if (world.nowMs - placedAtMs >= lasts * MINUTE) world.report(id, "exited", makeExit(0));
    }
    while (world.plan().length > 0);
    if (this.#count % 60 === 0) world.append(decideForget(world.state));
  }

  /** Until all of a job have a place; how long that took, or infinite. */
  until(job: string, many: number, atMostMs: number): number {
    for (let waited = 0; waited <= atMostMs; waited += MINUTE) {
      this.#minute(many);
      if (this.world.job(job).counts.pending === 0) return waited;
    }
    return Number.POSITIVE_INFINITY;
  }

  warm(many: number): void {
    for (let minute = 0; minute < 20; minute += 1) this.#minute(many);
  }
}

it.each([
  ["one task", { count: 1 }],
  ["a gang of all hosts", { count: 6, gangMin: 6 }],
])(
  "%s of the least priority rises above more important work that never ends",
  (_what, changes) => {
    const busy = new Busy(2);
    busy.warm(3);
    busy.world.submit({ ...small("low", 3), ...changes });
    const took = busy.until("low", 3, 2 * RISE_MS + HOUR);
    expect(took).toBeGreaterThan(RISE_MS);
    expect(took).toBeLessThan(2 * RISE_MS + HOUR / 2);
  },
  60_000,
);

it.each([
  ["a whole host", { requests: resources(4000, 512, 1) }, 4000],
  ["half of a host", { requests: resources(4000, 512, 1) }, 8000],
  ["two hosts together", { requests: resources(4000, 512, 1), count: 2, gangMin: 2 }, 4000],
])("who needs %s is kept one behind small work that keeps coming", (_what, changes, cpuMillis) => {
  const busy = new Busy(3, cpuMillis);
  const many = cpuMillis / 1000;
  busy.warm(many);
  busy.world.submit(makeSpec("large", changes));
  expect(busy.until("large", many, 2 * HOLD_MS + HOUR)).toBeLessThan(2 * HOLD_MS);
});

it("is not kept a host for ever on which something stands that does not end, while others are left", () => {
  const busy = new Busy(3);
  // The first host that could be kept.
  busy.world.submit(makeSpec("stands", { requests: resources(4000, 512, 1) }));
  busy.world.plan();
  expect(busy.world.state.allocations.get(busy.world.active("stands"))?.hostId).toBe("h0");
  busy.warm(3);
  busy.world.submit(makeSpec("large", { requests: resources(4000, 512, 1) }));
  expect(busy.until("large", 3, 4 * HOUR)).toBeLessThan(3 * HOLD_MS);
});

it("nobody waits for what somebody is promised who perhaps never gets it", () => {
  const busy = new Busy(3);
  busy.world.host("huge", resources(6000, 8192, 1000));
  const placement = { require: ['host.id == "huge"'] };
  busy.world.submit(makeSpec("stands", { requests: resources(6000, 512, 1), placement }));
  busy.world.plan();
  busy.warm(3);
  busy.world.submit(makeSpec("giant", { requests: resources(6000, 512, 1) }));
  busy.world.submit(makeSpec("large", { requests: resources(4000, 512, 1) }));
  expect(busy.until("large", 3, 4 * HOUR)).toBeLessThan(3 * HOLD_MS);
  expect(busy.world.job("giant").counts.pending).toBe(1);
});
