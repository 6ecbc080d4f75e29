// Devices and pinned processors through real containers: what was granted is there, and nothing else.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AllocationId } from "@berth/schema";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";

let made: TestCluster;
beforeAll(async () => {
  // Two devices that every machine has, by the names of a kind that none has.
  const named = ["--device", "pipe:0@slow=/dev/net/tun", "--device", "pipe:1=/dev/fuse"];
  made = await startCluster([...named, "--pinning"]);
  await made.startAgent();
  await eventually("a hello", () => made.scheduler.hellos.at(-1));
});
afterAll(() => made.close());

const ended = async (id: AllocationId) => {
  made.scheduler.publish();
  return await eventually(`the end of ${id}`, () => made.scheduler.end(id));
};
const stdout = (id: AllocationId): Promise<string> => made.scheduler.stdoutOf(id);
const script = (text: string) => testSpec(["sh", "-c", text]);

test("a host says what it has: each device, its cells, and what they come to", () => {
  const { capacity, devices = [] } = made.scheduler.hellos.at(-1)?.capacity ?? {};
  expect(devices.filter(({ kind }) => kind === "pipe")).toEqual([
    { kind: "pipe", id: "0", model: "slow", has: { milli: 1000 } },
    { kind: "pipe", id: "1", has: { milli: 1000 } },
  ]);
  const cells = devices.filter(({ kind }) => kind === "numa");
  const cpus = cells.reduce((sum, { has }) => sum + (has["cpus"] ?? 0), 0);
  expect(cpus).toBeGreaterThan(0);
  expect(capacity?.more).toMatchObject({ "pipe.milli": 2000, "numa.cpus": cpus });
});

test("a container opens the device that it was given, not its neighbour, and is told which and how much", async () => {
  const text =
    ": <>/dev/net/tun && echo opened; ls /dev/fuse 2>&1 | grep -c 'No such'; echo $BERTH_PIPE $BERTH_PIPE_MILLI";
  const devices = [{ kind: "pipe", id: "0", amounts: { milli: 250 } }];
  const id = made.scheduler.place(script(text), { devices });
  expect(await ended(id)).toMatchObject({ exit: { code: 0 } });
  expect(await stdout(id)).toBe("opened\n1\n0 250\n");
});

test("a pinned container runs on its processors alone, and takes memory of their cell", async () => {
  const [cell] = made.scheduler.hellos.at(-1)?.capacity.devices?.filter(({ kind }) => kind === "numa") ?? [];
  const cpu = /^\d+/u.exec(cell?.cpus ?? "")?.[0] ?? "";
  const text = "grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status | tr -d '\\t'; echo $BERTH_CPUS";
  const grant = { kind: "numa", id: cell?.id ?? "", amounts: { cpus: 1, memoryBytes: 2 ** 26 }, cpus: cpu };
  const id = made.scheduler.place(script(text), { devices: [grant] });
  expect(await ended(id)).toMatchObject({ exit: { code: 0 } });
  expect(await stdout(id)).toBe(`Cpus_allowed_list:${cpu}\nMems_allowed_list:${cell?.id}\n${cpu}\n`);
});

test("what was granted and is not here any more is a failure that says so", async () => {
  const id = made.scheduler.place(script("true"), { devices: [{ kind: "pipe", id: "7", amounts: { milli: 1 } }] });
  expect(await ended(id)).toMatchObject({ state: "failed", exit: { detail: "devices: this host has no pipe 7" } });
});
