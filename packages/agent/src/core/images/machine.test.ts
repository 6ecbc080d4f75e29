import { expect, test } from "vitest";
import { initOf, isMachineName, isRootfs, lxcKind, refuseForMachine } from "./machine.ts";

const of = (links: Readonly<Record<string, string>>, files: readonly string[] = [], inittab = "") =>
  initOf(new Map(Object.entries(links)), new Set(files), inittab);

test("archives are told apart by their first entries", () => {
  expect(isRootfs(["bin", "boot"])).toBe(true);
  expect(isRootfs(["etc/passwd"])).toBe(true);
  expect(isRootfs(["blobs/sha256/ab", "index.json", "oci-layout"])).toBe(false);
  expect(isRootfs(["manifest.json", "repositories"])).toBe(false);
  expect(isRootfs([])).toBe(false);
  expect(lxcKind(["metadata.yaml", "rootfs/bin"])).toBe("unified");
  expect(lxcKind(["metadata.yaml", "templates", "templates/hosts.tpl"])).toBe("metadata");
  expect(lxcKind(["manifest.json", "repositories"])).toBeUndefined();
});

test("each init is asked to halt in its own way", () => {
  expect(of({ "sbin/init": "/lib/systemd/systemd" })).toEqual({
    command: ["/sbin/init"],
    stopSignal: 37,
    init: "systemd",
  });
  expect(of({ "sbin/init": "/bin/busybox" })).toMatchObject({ stopSignal: 12, init: "busybox" });
  expect(of({}, ["usr/lib/systemd/systemd"])).toMatchObject({ command: ["/usr/lib/systemd/systemd"], stopSignal: 37 });
  expect(of({}, ["usr/sbin/init"], "p0::powerfail:/sbin/init 0\n")).toMatchObject({ stopSignal: 30 });
  expect(of({}, ["usr/sbin/init"], "pf::powerwait:/sbin/shutdown -h now\n")).toMatchObject({ stopSignal: 30 });
  expect(of({}, ["usr/sbin/init"], "pf::powerwait:/etc/init.d/powerfail start\n")).toMatchObject({
    stopSignal: 2,
    init: "sysvinit",
  });
  expect(of({}, ["etc/init"])).toBeUndefined();
});

test("no registry can have the name of a machine", () => {
  expect(isMachineName("oci://local/debian:12")).toBe(true);
  expect(isMachineName("oci://local.example/debian:12")).toBe(false);
});

test("nothing is mounted into a machine that it must not mount otherwise", () => {
  const shared = { volume: "data", target: "/data", readOnly: false } as const;
  expect(refuseForMachine({ volumes: [shared] } as never)).toBeUndefined();
  expect(refuseForMachine({ volumes: [{ ...shared, readOnly: true }] } as never)).toContain("/data");
  expect(refuseForMachine({ volumes: [{ source: "/srv", target: "/srv", readOnly: false }] } as never)).toContain(
    "/srv",
  );
});
