/** Updates against a small model of the kernel that refuses what the real one refuses. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planStart, planUpdate, type Step } from "./plan.ts";
import { firstMistakeOf, type Resources } from "./resources.ts";
import { keyOf, type ResourceHost, type Setting } from "./setting.ts";
import { settingsOf } from "./settings.ts";
import { v1Host, v2Host } from "./testing.ts";

const MIB = 2 ** 20;
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const given = <T extends object>(value: T) =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as { [K in keyof T]: never };
const ioLimit = fc
  .record({ device: fc.constantFrom("8:0", "8:16", "259:1"), readsPerSecond: optional(fc.integer({ min: 1, max: 9 })) })
  .map(given);
const resources: fc.Arbitrary<Resources> = fc
  .record({
    cpuRequestMillis: fc.integer({ min: 0, max: 4000 }),
    cpuLimitMillis: fc.option(fc.integer({ min: 1, max: 4000 })),
    cpuBurstMillis: optional(fc.integer({ min: 0, max: 4000 })),
    cpus: optional(fc.constantFrom("0", "1-2", "0-3")),
    memoryNodes: optional(fc.constant("0")),
    memoryBytes: fc.integer({ min: 1, max: 64 }).map((n) => n * MIB),
    memoryHighBytes: optional(fc.integer({ min: 1, max: 64 }).map((n) => n * MIB)),
    swapBytes: optional(fc.integer({ min: 0, max: 64 }).map((n) => n * MIB)),
    pids: fc.integer({ min: 1, max: 99 }),
    ioLimits: optional(fc.uniqueArray(ioLimit, { maxLength: 3, selector: ({ device }) => device })),
    hugePages: optional(fc.constantFrom({ "2MB": 0 }, { "2MB": 4 * MIB })),
  })
  .map((value) => given(value) as Resources)
  .filter((value) => firstMistakeOf(value) === undefined);
const hosts: fc.Arbitrary<ResourceHost> = fc.constantFrom(v1Host, v2Host);

/** Files by name; settings of one file that have a key, by the key. */
class Kernel {
  readonly files = new Map<string, string>();

  write(path: string, file: string, value: string): void {
    const device = /^\d+:\d+ /.test(value) ? value.split(" ")[0] : "";
    const gone = /^\d+:\d+ (0|rbps=max wbps=max riops=max wiops=max)$/.test(value);
    const key = `${path}/${file} ${device}`;
    if (gone) this.files.delete(key);
    else this.files.set(key, value);
    this.#check(`${path}/${file}`);
  }

  #number(file: string, none: number): number {
    const [text = "max"] = (this.files.get(`${file} `) ?? "max").split(" ");
    return text === "max" || text === "-1" ? none : Number(text);
  }

  #check(written: string): void {
    const infinite = Number.POSITIVE_INFINITY;
    const pair = (part: string, partDefault: number, whole: string) => {
      const [a, b] = [this.#number(part, partDefault), this.#number(whole, infinite)];
      if (a > b) throw new Error(`EINVAL: writing ${written} left ${part} ${a} > ${whole} ${b}`);
    };
    pair("/cg/memory/memory.limit_in_bytes", infinite, "/cg/memory/memory.memsw.limit_in_bytes");
    pair("/cg/cpu/cpu.cfs_burst_us", 0, "/cg/cpu/cpu.cfs_quota_us");
    pair("/cg/cpu.max.burst", 0, "/cg/cpu.max");
  }

  /** As if a container had just been started with these. */
  static started(settings: readonly Setting[]): Kernel {
    const kernel = new Kernel();
    for (const { path, file, value } of planStart(settings)) kernel.write(path, file, value);
    return kernel;
  }

  /** What apply.ts reads before an update. */
  read(settings: readonly Setting[]): Setting[] {
    return settings.map((setting) => {
      const value = this.files.get(`${setting.path}/${setting.file} ${setting.key ?? ""}`) ?? setting.initial;
      const number = Number.parseInt(value, 10);
      const amount = Number.isNaN(number) || number < 0 ? Number.POSITIVE_INFINITY : number;
      return { ...setting, value, ...(setting.amount === undefined ? {} : { amount }) };
    });
  }

  do(steps: readonly Step[], field: "value" | "undo"): void {
    for (const step of steps) if (step.kind === "write") this.write(step.path, step.file, step[field]);
  }

  /** Without files that hold what they would hold anyway. */
  shown(settings: readonly Setting[]): readonly string[] {
    const initial = new Map(settings.map((setting) => [keyOf(setting), setting.initial]));
    return [...this.files].flatMap(([key, value]) => (initial.get(key) === value ? [] : [`${key}= ${value}`])).sort();
  }
}

const updateOf = (host: ResourceHost, from: Resources, to: Resources) => {
  const [before, after] = [settingsOf(from, host).settings, settingsOf(to, host).settings];
  const all = [...new Map([...before, ...after].map((setting) => [keyOf(setting), setting])).values()];
  const kernel = Kernel.started(before);
  return { kernel, all, after, steps: planUpdate(kernel.read(all), after) };
};

describe("an update", () => {
  test("is accepted write by write and ends where a start would have ended", () => {
    fc.assert(
      fc.property(hosts, resources, resources, (host, from, to) => {
        const { kernel, all, after, steps } = updateOf(host, from, to);
        kernel.do(steps, "value");
        expect(kernel.shown(all)).toEqual(Kernel.started(after).shown(all));
      }),
      { numRuns: 600 },
    );
  });

  test("is taken back from wherever it failed", () => {
    fc.assert(
      fc.property(hosts, resources, resources, fc.nat(), (host, from, to, point) => {
        const { kernel, all, steps } = updateOf(host, from, to);
        const before = kernel.shown(all);
        const done = steps.slice(0, steps.length === 0 ? 0 : point % (steps.length + 1));
        kernel.do(done, "value");
        kernel.do(done.toReversed(), "undo");
        expect(kernel.shown(all)).toEqual(before);
      }),
      { numRuns: 600 },
    );
  });

  test("to the same does nothing", () => {
    fc.assert(
      fc.property(hosts, resources, (host, same) => {
        expect(updateOf(host, same, same).steps).toEqual([]);
      }),
    );
  });
});

test("v2: a lower memory limit takes memory back first, looks, and only then binds", () => {
  const limits = { cpuRequestMillis: 1, cpuLimitMillis: null, pids: 9 };
  const { steps } = updateOf(
    v2Host,
    { ...limits, memoryBytes: 64 * MIB },
    { ...limits, memoryBytes: 32 * MIB, memoryHighBytes: 16 * MIB },
  );
  expect(steps.map((step) => `${step.file} ${step.kind === "write" ? step.value : `<= ${step.bytes}`}`)).toEqual([
    `memory.high ${32 * MIB}`,
    `memory.current <= ${32 * MIB}`,
    `memory.max ${32 * MIB}`,
    `memory.high ${16 * MIB}`,
  ]);
});
