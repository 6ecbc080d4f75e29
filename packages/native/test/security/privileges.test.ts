/** Rules 20, 21, 22 and 30: what a program may do, seen from the host and tried from inside. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { asNobody, statusField, testHost } from "../host.ts";
import { programs } from "./tools.ts";

const host = testHost();

/** C: raises what it can, executes another copy of itself, and that one prints what it has. */
const raise = `#include <stdio.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int n, char **v) {
  struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct d[2];
  if (n > 1) {
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f)) if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNew", 5)) fputs(line, stdout);
    return 0;
  }
  for (int cap = 0; cap < 64; cap++) {
    memset(d, 0, sizeof d);
    syscall(SYS_capget, &h, d);
    d[cap / 32].effective |= 1u << cap % 32;
    d[cap / 32].permitted |= 1u << cap % 32;
    if (!syscall(SYS_capset, &h, d)) { syscall(SYS_capget, &h, d); d[cap / 32].inheritable |= 1u << cap % 32; syscall(SYS_capset, &h, d); }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
  }
  prctl(PR_SET_SECUREBITS, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
  execl("/proc/self/exe", v[0], "again", (char *)0);
  return 1;
}`;
const tools = programs(host, { "as-nobody": asNobody, raise });

/* chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot setfcap */
const KEPT = 0x800405fbn;
const NEVER = {
  dac_read_search: 2,
  linux_immutable: 9,
  net_broadcast: 11,
  net_admin: 12,
  net_raw: 13,
  ipc_lock: 14,
  ipc_owner: 15,
  sys_module: 16,
  sys_rawio: 17,
  sys_ptrace: 19,
  sys_pacct: 20,
  sys_admin: 21,
  sys_boot: 22,
  sys_nice: 23,
  sys_resource: 24,
  sys_time: 25,
  sys_tty_config: 26,
  mknod: 27,
  audit_write: 29,
  audit_control: 30,
  mac_override: 32,
  mac_admin: 33,
  syslog: 34,
  wake_alarm: 35,
  block_suspend: 36,
  audit_read: 37,
  perfmon: 38,
  bpf: 39,
  checkpoint_restore: 40,
};

test("the bounding set is a short list; what could reach the host is in no set", async () => {
  const container = await host.start(["sleep", "1000"]);
  try {
    const pid = container.pid ?? 0;
    const set = (name: string) => BigInt(`0x${statusField(pid, name)}`);
    for (const name of ["CapBnd", "CapPrm", "CapEff"]) {
      expect(set(name), name).toBe(KEPT);
      for (const [capability, bit] of Object.entries(NEVER))
        expect((set(name) >> BigInt(bit)) & 1n, `${name} has ${capability}`).toBe(0n);
    }
  } finally {
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  }
});

test("the inheritable and ambient sets are empty at the start", async () => {
  const container = await host.start(["sleep", "1000"]);
  try {
    for (const name of ["CapInh", "CapAmb"]) expect(statusField(container.pid ?? 0, name), name).toMatch(/^0+$/);
  } finally {
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  }
});

test("a program that raises whatever it can has no more afterwards", async () => {
  const { stdout } = await host.run(["raise"], { layers: [tools, host.image] });
  const set = (name: string) => BigInt(`0x${new RegExp(`${name}:\\s*(\\w+)`).exec(stdout)?.[1] ?? ""}`);
  for (const name of ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"]) expect(set(name) & ~KEPT, name).toBe(0n);
  expect(stdout).toMatch(/NoNewPrivs:\s*1/);
});

test("no_new_privs is set: neither a set-uid bit nor a file capability gives anything", async () => {
  const container = await host.start(["sleep", "1000"]);
  expect(statusField(container.pid ?? 0, "NoNewPrivs")).toBe("1");
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
  const { stdout, stderr } = await host.sh(
    "for a in id grep; do cp /bin/busybox /tmp/$a; chmod 6755 /tmp/$a; done; as-nobody /tmp/id -u; as-nobody /tmp/grep CapPrm /proc/self/status",
    { layers: [tools, host.image] },
  );
  expect(stderr).toBe("");
  expect(stdout.replace(/\s+/g, " ").trim()).toBe("65534 CapPrm: 0000000000000000");
});

describe("the user namespace", () => {
  test("root inside is nobody outside: ids are a range of its own, mapped once and for all", async () => {
    const container = await host.start(["sleep", "1000"], { idBase: 7_000_000 });
    try {
      const pid = container.pid ?? 0;
      for (const map of ["uid_map", "gid_map"])
        expect(readFileSync(`/proc/${pid}/${map}`, "utf8").trim().split(/\s+/)).toEqual(["0", "7000000", "65536"]);
      expect(statusField(pid, "Uid")).toBe("7000000\t7000000\t7000000\t7000000");
      expect(statusField(pid, "Groups").trim()).toBe("");
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
    const { stdout } = await host.sh(
      "for f in uid_map gid_map setgroups; do (echo '0 0 1' > /proc/self/$f) 2>/dev/null && echo wrote $f; done; echo done",
    );
    expect(stdout).toBe("done\n");
  });

  test("ids of the host's own users are refused as a range", async () => {
    for (const idBase of [0, 1000, 65_535]) {
      const result = await host.runtime.start(host.spec(["true"], { idBase }));
      expect(result, String(idBase)).toMatchObject({ ok: false, error: { stage: "spec" } });
    }
  });

  test("two containers have ranges that do not touch", async () => {
    const [a, b] = await Promise.all([host.start(["sleep", "1000"]), host.start(["sleep", "1000"])]);
    try {
      const range = (pid: number | null) => Number(readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/)[1]);
      expect(Math.abs(range(a.pid) - range(b.pid))).toBeGreaterThanOrEqual(65_536);
    } finally {
      for (const container of [a, b]) {
        await container.stop({ signal: 9, graceMs: 0 });
        await container.remove();
      }
    }
  });
});
