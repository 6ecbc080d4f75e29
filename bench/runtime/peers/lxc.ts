/** lxc-start in the foreground, with the same namespaces, limits and filter; its root is the image itself, no overlay. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, type Absent, type Contestant } from "../contestant.ts";
import type { Floor } from "../floor.ts";
import type { Place } from "../place.ts";
import { DENIED_CALLS } from "./filter.ts";

export const lxcPeer = (place: Place, launcher: Floor): Contestant | Absent => {
  const name = "lxc-start";
  const program = findProgram(name);
  if (program === undefined) return { name, absent: "not installed (Debian: apt-get install lxc)" };
  const directory = join(place.directory, "lxc");
  mkdirSync(directory);
  const filter = join(directory, "seccomp");
  writeFileSync(filter, ["2", "denylist", "[all]", ...DENIED_CALLS.map((call) => `${call} errno 1`)].join("\n"));
  const v2 = place.layout.kind === "v2";
  const limits = v2
    ? ["memory.max = 67108864", "cpu.weight = 50", "cpu.max = 20000 20000", "pids.max = 64"].map(
        (one) => `lxc.cgroup2.${one}`,
      )
    : [
        ...["memory.limit_in_bytes = 67108864", "cpu.shares = 512"],
        ...["cpu.cfs_period_us = 20000", "cpu.cfs_quota_us = 20000", "pids.max = 64"],
      ].map((one) => `lxc.cgroup.${one}`);
  const file = join(directory, "config");
  writeFileSync(
    file,
    [
      "lxc.uts.name = bench",
      `lxc.rootfs.path = dir:${place.image}`,
      "lxc.init.cmd = /bin/true",
      "lxc.net.0.type = empty",
      "lxc.mount.auto = proc:mixed sys:ro",
      "lxc.autodev = 1",
      "lxc.pty.max = 1",
      "lxc.tty.max = 0",
      "lxc.console.path = none",
      "lxc.idmap = u 0 1000000 65536",
      "lxc.idmap = g 0 1000000 65536",
      "lxc.cap.keep = chown dac_override fowner fsetid kill net_bind_service setfcap setgid setpcap setuid sys_chroot",
      "lxc.no_new_privs = 1",
      `lxc.seccomp.profile = ${filter}`,
      `lxc.cgroup.dir = ${place.cgroupParent}/lxc`,
      ...limits,
      "",
    ].join("\n"),
  );
  return {
    name,
    start: () => launcher.spawn([program, "-F", "-n", "bench", "-P", directory, "-f", file]),
    close: () => Promise.resolve(),
  };
};
