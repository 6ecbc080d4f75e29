/** Plans are kept and used again: never for other limits than they were made for, and never for wrong ones. */
import { expect, test } from "vitest";
import type { CgroupLayout } from "../cgroup-layout.ts";
import type { Resources } from "./resources.ts";
import { StartPlans, type StartPlan } from "./start-plans.ts";
import { v1Host, v2Host } from "./testing.ts";
import type { ResourceHost } from "./setting.ts";

const limits: Resources = { cpuRequestMillis: 500, cpuLimitMillis: 1000, memoryBytes: 65_536, pids: 64 };

const plansOf = (host: ResourceHost): StartPlans => {
  const layout: CgroupLayout = {
    kind: "v1",
    hierarchies: host.hierarchies.filter(({ onDemand }) => !onDemand),
    onDemand: host.hierarchies.filter(({ onDemand }) => onDemand),
    missing: [],
  };
  return new StartPlans(layout, host, "berth");
};
const made = (plan: ReturnType<StartPlans["of"]>): StartPlan => {
  if (!plan.ok) throw new Error(plan.error.detail);
  return plan;
};
const valuesOf = (plan: ReturnType<StartPlans["of"]>) =>
  Object.fromEntries(made(plan).cgroups.writes.map(({ file, value }) => [file, value]));

test("the same limits have the same plan, in whatever object and after others", () => {
  const plans = plansOf(v1Host);
  const first = plans.of(limits, false);
  expect(plans.of({ ...limits }, false)).toBe(first);
  expect(valuesOf(plans.of({ ...limits, pids: 65 }, false))["pids.max"]).toBe("65");
  expect(plans.of({ ...limits, cpus: undefined }, false)).toBe(first);
  expect(made(first).note).toBe(`${JSON.stringify({ version: 1, resources: limits })}\n`);
});

test("limits that change in place are seen", () => {
  const plans = plansOf(v2Host);
  const changing = { ...limits, ioLimits: [{ device: "8:0", readsPerSecond: 5 }] };
  expect(valuesOf(plans.of(changing, false))["io.max"]).toBe("8:0 rbps=max wbps=max riops=5 wiops=max");
  changing.ioLimits[0] = { device: "8:0", readsPerSecond: 6 };
  expect(valuesOf(plans.of(changing, false))["io.max"]).toBe("8:0 rbps=max wbps=max riops=6 wiops=max");
  changing.ioLimits[0] = { device: "8:0", readsPerSecond: 1 };
  expect(plans.of(changing, false)).toMatchObject({ ok: false, error: { code: "EINVAL" } });
  const flat = { ...limits };
  plans.of(flat, false);
  flat.pids = 7;
  expect(valuesOf(plans.of(flat, false))["pids.max"]).toBe("7");
});

test.each([
  ["limits: undefined is not an object", undefined],
  ["limits: a list is not an object", []],
  ['limits: "memory" is not known here', { ...limits, memory: 1 }],
  ["cpuLimitMillis: NaN is not in", { ...limits, cpuLimitMillis: Number.NaN }],
  ["pids: undefined is not in", { cpuRequestMillis: 500, cpuLimitMillis: 1000, memoryBytes: 65_536 }],
  ["cpus: 9 of 9 not among 0-3", { ...limits, cpus: "9" }],
])("%s, right after good ones", (sentence, wrong) => {
  const plans = plansOf(v1Host);
  for (const good of [limits, { ...limits, cpuLimitMillis: null }]) {
    plans.of(good, false);
    expect(plans.of(wrong, false)).toMatchObject({ ok: false, error: { stage: "spec", code: "EINVAL" } });
    const refused = plans.of(wrong, true);
    expect(refused.ok ? "" : refused.error.detail).toContain(sentence);
  }
});

test("who is strict is told what does not hold, also of limits that were good enough before", () => {
  const plans = plansOf(v1Host);
  const high = { ...limits, memoryHighBytes: 8192 };
  expect(plans.of(high, false).ok).toBe(true);
  const reason = "memoryHighBytes: cgroup v1 has no memory.high: it kills at the limit only";
  expect(plans.of(high, true)).toMatchObject({ ok: false, error: { code: "EOPNOTSUPP", detail: reason } });
  expect(plans.of(high, false).ok).toBe(true);
});

test("what is on demand comes with the limits that ask for it: a hierarchy of v1, a controller of v2", () => {
  const pinned = { ...limits, cpus: "1" };
  const v1 = made(plansOf(v1Host).of(pinned, false));
  expect([v1.cgroups.hierarchies.at(-1)?.path, v1.toEnable]).toEqual(["/cg/cpuset", []]);
  const v2 = made(plansOf(v2Host).of(pinned, false));
  expect([v2.cgroups.hierarchies.length, v2.toEnable[0]?.controllers]).toEqual([1, ["cpuset"]]);
  expect(made(plansOf(v2Host).of(limits, false)).toEnable).toEqual([]);
});
