import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { namedDevices } from "./devices.ts";

/** A tree like the kernel's, in which these device nodes are parts of a card on a bus that says this cell. */
const sysOf = (cell: string, ...paths: readonly string[]): string => {
  const sys = mkdtempSync(join(tmpdir(), "berth-sys-"));
  onTestFinished(() => rmSync(sys, { recursive: true, force: true }));
  const card = join(sys, "devices/pci0000:80/0000:81:00.0");
  for (const directory of [join(sys, "dev/char"), card]) mkdirSync(directory, { recursive: true });
  for (const path of paths) {
    const part = join(card, "drm", path.slice(5));
    mkdirSync(part, { recursive: true });
    const { rdev } = statSync(path);
    symlinkSync(part, join(sys, "dev/char", `${rdev >> 8}:${rdev & 0xff}`));
  }
  writeFileSync(join(card, "numa_node"), `${cell}\n`);
  return sys;
};
const device = (sys: string, ...paths: readonly string[]) => {
  const places = { nodes: "", nvidia: "", sys };
  return namedDevices([{ kind: "gpu", id: "0", paths }], places)[0]?.device;
};

test("a device is of the cell that the card says which it is a part of", () => {
  expect(device(sysOf("1", "/dev/zero"), "/dev/null", "/dev/zero")).toEqual({
    ...{ kind: "gpu", id: "0", has: { milli: 1000 } },
    cell: "1",
  });
});

test("a device whose cell nobody tells has none", () => {
  expect(device(sysOf("-1", "/dev/null"), "/dev/null")).not.toHaveProperty("cell");
  expect(device(sysOf("0"), "/dev/null")).not.toHaveProperty("cell");
});
