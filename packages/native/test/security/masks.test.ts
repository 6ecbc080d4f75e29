/** Rule 28 where it cannot be seen on every machine: what a /sys would hold on others is masked there as well. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { slow, testHost } from "../host.ts";
import { compilePart } from "../parts.ts";

const host = testHost();
const program = join(host.directory, "masked-sys");
beforeAll(() => {
  if (!slow) compilePart("masked-sys", program);
}, 240_000);

const CPU = "devices/system/cpu";
const HIDDEN = [
  "firmware/acpi/tables/DSDT",
  "devices/virtual/powercap/intel-rapl/enabled",
  "kernel/boot_params/data",
  "fs/selinux/policy",
  ...["cpu0", "cpu7", "cpu128"].map((cpu) => `${CPU}/${cpu}/thermal_throttle/core_throttle_count`),
];
const SHOWN = [
  `${CPU}/online`,
  `${CPU}/cpu0/topology/core_id`,
  `${CPU}/cpufreq/thermal_throttle/x`,
  `${CPU}/cpuidle/current_driver`,
  "fs/cgroup/none",
];

test.runIf(!slow)("a /sys with firmware, power meters, SELinux and processors that count their throttling", () => {
  const root = join(host.directory, "sys");
  for (const path of [...HIDDEN, ...SHOWN, "kernel/vmcoreinfo"]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), "a secret\n");
  }
  const seen = execFileSync(program, [root, "/usr/bin/find", root, "-type", "f", "-printf", "%P\n"], {
    encoding: "utf8",
  });
  expect(seen.trim().split("\n").sort()).toEqual([...SHOWN, "kernel/vmcoreinfo"].sort());
  /* A file that is masked is still there, and holds nothing. */
  const read = execFileSync(program, [root, "/bin/cat", join(root, "kernel/vmcoreinfo")], { encoding: "utf8" });
  expect(read).toBe("");
});

/* Its directory can be opened and not be read, or neither: nobody goes on without a mask. */
test.runIf(!slow)("processors that count their throttling, where there are few descriptors", () => {
  const root = join(host.directory, "few");
  const secret = join(root, `${CPU}/cpu0/thermal_throttle/core_throttle_count`);
  mkdirSync(dirname(secret), { recursive: true });
  writeFileSync(secret, "a secret\n");
  const said = [4, 5, 6, 7, 8, 9, 10].map((limit) => {
    const words = [`--nofile=${limit}`, program, root, "/bin/busybox", "cat", secret];
    const { status, stdout, stderr } = spawnSync("prlimit", words, { encoding: "utf8" });
    expect(stdout + stderr, `${limit} descriptors`).not.toContain("a secret");
    return `${status} ${stdout}`;
  });
  expect(said.filter((one) => one.startsWith("1 mount.mask"))).not.toEqual([]);
  expect(said.at(-1)).toBe("1 ");
});
