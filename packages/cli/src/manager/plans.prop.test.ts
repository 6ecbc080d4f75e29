import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffMs, countDeath, FIRST_MS, HEALTHY_MS, LONGEST_MS } from "./backoff.ts";
import { MAX_HOSTS } from "./defaults.ts";
import { planNetwork } from "./network-plan.ts";
import { localHostId, planHosts } from "./shares.ts";

const machine = { cpuMillis: 1900, memoryBytes: 7_000_000_001, pids: 31_000 };

describe("hosts of one machine", () => {
  test("without a number is the machine itself, whole", () => {
    expect(planHosts(undefined, "Build-7.lan", machine)).toEqual([
      { id: "build-7", share: undefined, further: {}, idBase: 536_870_912, idCount: 268_435_456 },
    ]);
  });

  test("share what the machine has beside, and what is said of it goes before what was measured", () => {
    const more = { netEgressBits: 10_000_000_000, diskBytes: 301 };
    const furthers = planHosts(3, "x", { ...machine, more }, { netEgressBits: 1_000_000_001 }).map(
      (one) => one.further,
    );
    expect(furthers).toEqual(Array.from({ length: 3 }, () => ({ netEgressBits: 333_333_333, diskBytes: 100 })));
    // One host measures for itself, and is told what is said.
    expect(planHosts(undefined, "x", { ...machine, more }, { gpu: 1 })[0]?.further).toEqual({ gpu: 1 });
  });

  test.each([
    ["build-7.lan", "build-7"],
    ["localhost", "local"],
    ["", "local"],
    ["under_score", "local"],
    ["-dash", "local"],
  ])("named %j is called %j", (hostname, id) => {
    expect(localHostId(hostname)).toBe(id);
  });

  test("never promise more than there is, nor an id twice", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_HOSTS }), (count) => {
        const plans = planHosts(count, "x", machine);
        expect(plans.map((plan) => plan.id)).toEqual(Array.from({ length: count }, (_, at) => `host-${at + 1}`));
        const sum = (key: keyof typeof machine): number =>
          plans.reduce((total, plan) => total + (plan.share?.[key] ?? 0), 0);
        for (const key of ["cpuMillis", "memoryBytes", "pids"] as const) {
          expect(sum(key)).toBeLessThanOrEqual(machine[key]);
          expect(sum(key)).toBeGreaterThan(machine[key] - count);
        }
        for (const [at, plan] of plans.entries()) {
          expect(plan.idCount % 65_536).toBe(0);
          expect(plan.idCount).toBeGreaterThanOrEqual(65_536);
          expect(plan.idBase).toBeGreaterThanOrEqual(524_288);
          const next = plans[at + 1]?.idBase ?? 1_879_048_192;
          expect(plan.idBase + plan.idCount).toBeLessThanOrEqual(next);
        }
      }),
    );
  });
});

describe("the network of several hosts", () => {
  const ids = ["host-1", "host-2", "host-3"];

  test("has names and addresses that follow from the data directory", () => {
    expect(planNetwork("/var/lib/berth", ids, [])).toMatchInlineSnapshot(`
      {
        "bridge": "berth-5a2cdf",
        "gateway": "198.18.223.1",
        "hosts": [
          {
            "address": "198.18.223.2",
            "id": "host-1",
            "link": "bh5a2cdf-1",
            "namespace": "berth-5a2cdf-host-1",
          },
          {
            "address": "198.18.223.3",
            "id": "host-2",
            "link": "bh5a2cdf-2",
            "namespace": "berth-5a2cdf-host-2",
          },
          {
            "address": "198.18.223.4",
            "id": "host-3",
            "link": "bh5a2cdf-3",
            "namespace": "berth-5a2cdf-host-3",
          },
        ],
        "prefixLength": 24,
        "tag": "5a2cdf",
      }
    `);
    expect(planNetwork("/var/lib/berth", ids, ["10.0.0.1/8", "fd00::1/64", "default"])).toEqual(
      planNetwork("/var/lib/berth", ids, []),
    );
  });

  test("moves on when its addresses are in use", () => {
    const first = planNetwork("/var/lib/berth", ids, []);
    const second = planNetwork("/var/lib/berth", ids, [`${first?.gateway}/24`]);
    expect(second?.gateway).not.toBe(first?.gateway);
    expect(second?.bridge).toBe(first?.bridge);
  });

  test("fits whatever is taken, and there is none when all is taken", () => {
    expect(planNetwork("/x", ids, ["198.18.0.0/15"])).toBeUndefined();
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.array(fc.integer({ min: 0, max: 511 }), { maxLength: 300 }),
        (dataDir, taken) => {
          const nets = taken.map((at) => `198.${18 + (at >> 8)}.${at & 255}.77/24`);
          const plan = planNetwork(dataDir, ids, nets);
          expect(plan).toBeDefined();
          const prefix = (address: string): string => address.split(".").slice(0, 3).join(".");
          const used = new Set([plan?.gateway ?? "", ...(plan?.hosts.map((host) => host.address) ?? [])].map(prefix));
          expect(used.size).toBe(1);
          expect(nets.map(prefix)).not.toContain([...used][0]);
          for (const name of [plan?.bridge ?? "", ...(plan?.hosts.map((host) => host.link) ?? [])]) {
            // IFNAMSIZ, with its final NUL.
            expect(name.length).toBeLessThanOrEqual(15);
          }
        },
      ),
    );
  });

  test("is large enough for as many hosts as there may be", () => {
    const many = Array.from({ length: MAX_HOSTS }, (_, at) => `host-${at + 1}`);
    const plan = planNetwork("/var/lib/berth", many, []);
    expect(new Set(plan?.hosts.map((host) => host.address)).size).toBe(MAX_HOSTS);
    expect(Math.max(...(plan?.hosts.map((host) => Number(host.address.split(".")[3])) ?? []))).toBeLessThan(255);
    expect(Math.max(...(plan?.hosts.map((host) => host.link.length) ?? []))).toBeLessThanOrEqual(15);
  });
});

describe("the pause before another start", () => {
  test("grows to its bound", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 1000].map(backoffMs)).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  });

  test("is never outside its bounds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (deaths) => {
        expect(backoffMs(deaths)).toBeGreaterThanOrEqual(FIRST_MS);
        expect(backoffMs(deaths)).toBeLessThanOrEqual(LONGEST_MS);
      }),
    );
  });

  test("begins anew after a long life", () => {
    expect(countDeath(7, HEALTHY_MS)).toBe(1);
    expect(countDeath(7, HEALTHY_MS - 1)).toBe(8);
  });
});
