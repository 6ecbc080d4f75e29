import { describe, expect, test } from "vitest";
import { CapacitySchema, decoder, MAX_FURTHER } from "@berth/schema";
import {
  capacityFault,
  capacityOf,
  reserveOf,
  shareWarnings,
  withFurther,
  withPorts,
  type Machine,
} from "./capacity.ts";

const GIB = 2 ** 30;
const NONE = { cpuMillis: undefined, memoryBytes: undefined, pids: undefined };
const machine = (more: Partial<Machine> = {}): Machine => ({
  cpus: 8,
  allowedCpus: 8,
  memoryBytes: 32 * GIB,
  pids: 32_768,
  limits: NONE,
  ...more,
});

describe("the reserve", () => {
  test.each([
    ["cpuMillis", 8000, 400],
    ["cpuMillis", 1000, 100],
    ["cpuMillis", 128_000, 2000],
    ["cpuMillis", 100, 50],
    ["memoryBytes", 32 * GIB, Math.ceil((32 * GIB) / 20)],
    ["memoryBytes", 2 * GIB, GIB / 4],
    ["memoryBytes", 1024 * GIB, 4 * GIB],
    ["pids", 32_768, 1639],
  ] as const)("of %s %i is %i", (dimension, amount, reserve) => {
    expect(reserveOf(dimension, amount)).toBe(reserve);
  });
});

test("capacity is the least of what the machine has and what binds this process", () => {
  const { capacity } = capacityOf(
    machine({ allowedCpus: 4, limits: { cpuMillis: 2500, memoryBytes: GIB, pids: 1000 } }),
    {},
  );
  expect(capacity).toEqual({ cpuMillis: 2500, memoryBytes: GIB, pids: 1000 });
  expect(capacityOf(machine({ allowedCpus: 2 }), {}).capacity.cpuMillis).toBe(2000);
});

test("a declared share is what containers get, without a reserve, and never more than there is", () => {
  const found = capacityOf(machine(), { cpuMillis: 600, memoryBytes: 64 * GIB });
  expect(found.allocatable).toMatchObject({ cpuMillis: 600, memoryBytes: 32 * GIB });
  expect(found.systemReserved).toMatchObject({ cpuMillis: 0, memoryBytes: 0 });
  expect(found.systemReserved.pids).toBeGreaterThan(0);
  expect(shareWarnings(machine(), { cpuMillis: 600, memoryBytes: 64 * GIB })).toHaveLength(1);
});

test("a host that names more than a scheduler takes says so at its start", () => {
  const named = (count: number) => {
    const further = Object.fromEntries(Array.from({ length: count }, (_, at) => [`licence${at}`, 1]));
    return withPorts(withFurther(capacityOf(machine(), {}), further), { first: 20_000, last: 29_999 });
  };
  const decode = decoder(CapacitySchema);
  expect([capacityFault(named(MAX_FURTHER - 1)), decode(named(MAX_FURTHER - 1)).ok]).toEqual([undefined, true]);
  expect(decode(named(MAX_FURTHER)).ok).toBe(false);
  expect(capacityFault(named(MAX_FURTHER))).toMatch(
    /^this host has 19 further resources, and may name 18 \(licence0, .*, ports\); leave out some --resource or --device$/,
  );
});
