import { expect, test } from "vitest";
import { parseNamedDevice, settingsOf, withDevices, type HostDevice } from "./devices.ts";

test.each([
  [
    "gpu:0@A100 80GB=/dev/nvidia0,/dev/nvidiactl",
    { kind: "gpu", id: "0", model: "A100 80GB", paths: ["/dev/nvidia0", "/dev/nvidiactl"] },
  ],
  ["fpga:00.1=/dev/fpga/x", { kind: "fpga", id: "00.1", paths: ["/dev/fpga/x"] }],
])("%s names a device", (text, value) => {
  expect(parseNamedDevice(text)).toEqual({ ok: true, value });
});

test.each([
  ["gpu=/dev/x", "write it like"],
  ["GPU:0=/dev/x", "write it like"],
  ["gpu:0=", 'gpu:0=: "" is no path below /dev'],
  ["gpu:0=/etc/passwd", '"/etc/passwd" is no path below /dev'],
  ["gpu:0=/dev/../etc/passwd", "is no path below /dev"],
  ["numa:0=/dev/x", "processors are found by themselves"],
])("%s is refused: %s", (text, error) => {
  expect(parseNamedDevice(text)).toMatchObject({ ok: false, error: expect.stringContaining(error) });
});

const gpu = (id: string): HostDevice => ({
  device: { kind: "gpu", id, has: { milli: 1000 } },
  nodes: [`/dev/nvidia${id}`, "/dev/nvidiactl"].map((path) => ({ path, type: "char", major: 195, minor: Number(id) })),
  nvidia: `GPU-${id}`,
});

test("several devices share their common nodes, and are told together", () => {
  const grants = ["0", "1"].map((id) => ({ kind: "gpu", id, amounts: { milli: 1000 } }));
  expect(settingsOf(grants, [gpu("0"), gpu("1")])).toMatchObject({
    value: {
      env: { BERTH_GPU: "0,1", BERTH_GPU_MILLI: "1000", NVIDIA_VISIBLE_DEVICES: "GPU-0,GPU-1" },
      nodes: [{ path: "/dev/nvidia0" }, { path: "/dev/nvidiactl" }, { path: "/dev/nvidia1" }],
    },
  });
});

test("what devices come to in all stands beside what else there is", () => {
  const resources = { cpuMillis: 1, memoryBytes: 1, pids: 1, more: { diskBytes: 5 } };
  const capacity = {
    capacity: resources,
    systemReserved: { cpuMillis: 0, memoryBytes: 0, pids: 0 },
    allocatable: resources,
  };
  const found = withDevices(capacity, [gpu("0"), gpu("1")]);
  expect(found.allocatable.more).toEqual({ diskBytes: 5, "gpu.milli": 2000 });
  expect(found.devices).toHaveLength(2);
  expect(withDevices(capacity, [])).toBe(capacity);
});
