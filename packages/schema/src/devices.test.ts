import { expect, test } from "vitest";
import { cpuList, cpuNumbers, devicesFault, type Device } from "./devices.ts";
import { parseJobDocument } from "./job-parse.ts";
import { MAX_COUNTED } from "./counted.ts";

test("lists of processors are read in bounded time, whatever they say", () => {
  expect(cpuNumbers("0-3,8,2")).toEqual([0, 1, 2, 3, 8]);
  expect(cpuList(cpuNumbers("8,0-3"))).toBe("0-3,8");
  expect(cpuNumbers("9007199254740992").length).toBeLessThan(10_000);
  expect(cpuNumbers(Array.from({ length: 100 }, () => "0-9999").join(",")).length).toBeLessThanOrEqual(8_192);
});

test("a host's devices are named once, and a cell names the processors that it has", () => {
  const gpu: Device = { kind: "gpu", id: "0", has: { milli: 1000 } };
  expect(devicesFault([gpu, { ...gpu, id: "1" }, { ...gpu, kind: "fpga" }])).toBeUndefined();
  expect(devicesFault([gpu, gpu])).toContain("two devices gpu:0");
  const cell = (cpus: number): Device => ({ kind: "numa", id: "0", has: { cpus, memoryBytes: 1 }, cpus: "0-3" });
  expect(devicesFault([cell(4)])).toBeUndefined();
  expect(devicesFault([cell(8)])).toContain("has 8 processors but names 4 (0-3)");
  const other = { ...cell(2), id: "1" };
  expect(devicesFault([cell(4), { ...other, cpus: "4,5" }])).toBeUndefined();
  expect(devicesFault([cell(4), { ...other, cpus: "4,3" }])).toContain("numa:0 and numa:1 both have processor 3");
});

test("devices that come to more than can be counted are refused, where each alone could be", () => {
  const parsed = parseJobDocument({
    name: "a",
    kind: "batch",
    image: "builtin://busybox",
    command: ["true"],
    resources: { devices: [{ kind: "gpu", count: 64, each: { memoryBytes: "8000Ti" } }] },
  });
  expect(parsed).toMatchObject({ ok: false });
  expect(JSON.stringify(parsed)).toContain("ask for more gpu.memoryBytes in all than can be counted");
});

test("a job asks for no more amounts than a cluster can count, what devices come to among them; disk, ports and network count apart", () => {
  const more = Object.fromEntries(Array.from({ length: MAX_COUNTED - 1 }, (_, at) => [`licence${at}`, 1]));
  const least = { name: "a", kind: "batch", image: "builtin://busybox", command: ["true"] };
  const document = (of: object) => ({
    ...least,
    ports: [{ name: "http" }],
    resources: { disk: "1Gi", network: { egress: "1G", ingress: "1G" }, ...of },
  });
  expect(parseJobDocument(document({ more: { ...more, one: 1 } })).ok).toBe(true);
  const refused = parseJobDocument(document({ more: { ...more, one: 1 }, devices: [{ kind: "gpu" }] }));
  expect(refused.ok ? [] : refused.error.errors).toEqual([
    {
      pointer: "/resources",
      message: expect.stringMatching(
        /^may ask for at most 9 amounts beside CPUs, memory, pids, disk, ports and network, not for 10: gpu\.milli, licence0, /,
      ),
    },
  ]);
});
