/**
 * Rules 24 to 26. The filter is read back from the kernel, out of a running container, and asked about every call there
 * is: an errno seen from inside would not tell a filter from a missing capability.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { statusField, testHost } from "../host.ts";
import { answer, parseFilter, type Instruction } from "./filter.ts";
import { filterOf, onHost, programs } from "./tools.ts";

const host = testHost();
const tools = programs(host, { "filter-of": filterOf });

const ALLOW = 0x7fff_0000;
const KILL = 0x8000_0000;
const EPERM = 0x0005_0001;
const ENOSYS = 0x0005_0026;
const EAFNOSUPPORT = 0x0005_0061;
const arch = process.arch === "x64" ? 0xc000_003e : 0xc000_00b7;
const NEWUSER = 0x1000_0000n;

let filter: readonly Instruction[] = [];
/** Numbers by name: what the C library knows, and what is newer than it. */
let numbers: ReadonlyMap<string, number> = new Map();
const known: Readonly<Record<string, number>> = {
  quotactl_fd: 443,
  process_madvise: 440,
  statmount: 457,
  listmount: 458,
  open_tree_attr: 467,
};

/** Empty when it has none, so that the tests below say what is missing. */
const installedFilter = (pid: number): readonly Instruction[] => {
  try {
    return parseFilter(onHost(tools, "filter-of", String(pid)));
  } catch {
    return [];
  }
};

beforeAll(async () => {
  const container = await host.start(["sleep", "1000"]);
  filter = installedFilter(container.pid ?? 0);
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
  const macros = execFileSync("gcc", ["-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"], {
    encoding: "utf8",
  });
  numbers = new Map([
    ...Object.entries(known),
    ...[...macros.matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map(([, name = "", n]) => [name, Number(n)] as const),
  ]);
});

const verdict = (name: string, ...args: readonly bigint[]): number => {
  const number = numbers.get(name);
  if (number === undefined) throw new Error(`no system call ${name}`);
  return answer(filter, { arch, number, args });
};

const groups: Readonly<Record<string, readonly string[]>> = {
  keyrings: ["add_key", "keyctl", "request_key"],
  "new interfaces of the kernel": [
    "bpf",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "perf_event_open",
    "fanotify_init",
  ],
  "file handles": ["open_by_handle_at", "name_to_handle_at"],
  mounts: [
    "mount",
    "umount2",
    "pivot_root",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "statmount",
    "listmount",
    "quotactl",
    "quotactl_fd",
  ],
  "other processes": [
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    "move_pages",
    "migrate_pages",
  ],
  "the machine": [
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "vhangup",
    "nfsservctl",
    ...(process.arch === "x64"
      ? [
          "iopl",
          "ioperm",
          "uselib",
          "ustat",
          "sysfs",
          "_sysctl",
          "create_module",
          "query_module",
          "get_kernel_syms",
          "lookup_dcookie",
        ]
      : []),
  ],
  namespaces: ["setns"],
};

describe("refused by the filter itself, whatever the arguments", () => {
  test.each(Object.entries(groups))("%s", (_group, names) => {
    const wrong = names.filter(
      (name) =>
        verdict(name) !== EPERM || verdict(name, ...Array.from({ length: 6 }, () => 0xffff_ffff_ffff_ffffn)) !== EPERM,
    );
    expect(wrong, "not refused").toEqual([]);
  });

  test("and nothing else than these and clone3", () => {
    const denied = new Set(Object.values(groups).flat());
    const surprising = [...numbers].filter(
      ([name, number]) => answer(filter, { arch, number }) !== ALLOW && !denied.has(name) && name !== "clone3",
    );
    expect(surprising).toEqual([]);
  });
});

test("a new user namespace: by clone and unshare in every mix of flags; clone3 does not exist", () => {
  for (let bits = 0; bits < 256; bits += 1) {
    /* NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET, and what makes threads. */
    const more = [
      0x0002_0000n,
      0x0200_0000n,
      0x0400_0000n,
      0x0800_0000n,
      0x2000_0000n,
      0x4000_0000n,
      0x0001_0f00n,
      0xffff_ffff_0000_0000n,
    ]
      .filter((_flag, bit) => (bits & (1 << bit)) !== 0)
      .reduce((all, flag) => all | flag, 17n);
    expect(verdict("clone", more), `clone ${more.toString(16)}`).toBe(ALLOW);
    expect(verdict("clone", more | NEWUSER), `clone ${more.toString(16)} | NEWUSER`).toBe(EPERM);
    expect(verdict("unshare", more | NEWUSER), `unshare ${more.toString(16)} | NEWUSER`).toBe(EPERM);
  }
  expect(verdict("clone3")).toBe(ENOSYS);
});

test("typing into a terminal: the upper half of an argument changes nothing", () => {
  for (const high of [0n, 0xdead_beef_0000_0000n, 0xffff_ffff_0000_0000n]) {
    expect(verdict("ioctl", 0n, high | 0x5412n), "TIOCSTI").toBe(EPERM);
    expect(verdict("ioctl", 0n, high | 0x541cn), "TIOCLINUX").toBe(EPERM);
  }
  expect(verdict("ioctl", 0n, 0x5401n), "TCGETS").toBe(ALLOW);
});

test("sockets: unix, IPv4, IPv6, netlink and packets; of no other family, AF_VSOCK and AF_ALG among them", () => {
  const usual = new Set([0, 1, 2, 10, 16, 17]);
  for (const call of ["socket", "socketpair"]) {
    for (let family = 0; family < 100; family += 1)
      expect(verdict(call, BigInt(family)), `${call} ${family}`).toBe(usual.has(family) ? ALLOW : EAFNOSUPPORT);
    for (const family of [3n, 38n, 40n, 44n])
      expect(verdict(call, 0xdead_beef_0000_0000n | family), `${call} ${family} with noise`).toBe(EAFNOSUPPORT);
  }
});

test("calls of another ABI kill the process, each of them", () => {
  const foreign = [0x4000_0003, 0x4000_0028, 0xc000_00b7, 0xc000_003e, 0x0000_003e, 0].filter(
    (other) => other !== arch,
  );
  for (let number = 0; number < 600; number += 1) {
    for (const other of foreign)
      expect(answer(filter, { arch: other, number }), `arch ${other.toString(16)} ${number}`).toBe(KILL);
    if (process.arch === "x64")
      expect(answer(filter, { arch, number: number + 0x4000_0000 }), `x32 ${number}`).toBe(KILL);
  }
});

test("every process of a container has the filter and no_new_privs, from before its program on", async () => {
  const container = await host.start(["sh", "-c", "sleep 1000 & (sleep 1000 & sleep 1000) & wait"]);
  try {
    const init = statusField(container.pid ?? 0, "PPid");
    const family = (): string[] =>
      readdirSync("/proc")
        .filter((pid) => /^\d+$/.test(pid))
        .filter((pid) => {
          try {
            return statusField(Number(pid), "NSpid").includes("\t") && inFamily(Number(pid), Number(init));
          } catch {
            return false;
          }
        });
    let all = family();
    for (let tries = 0; all.length < 3 && tries < 500; tries += 1) {
      await sleep(10);
      all = family();
    }
    expect(all.length).toBeGreaterThanOrEqual(3);
    for (const pid of all) {
      expect(statusField(Number(pid), "Seccomp"), pid).toBe("2");
      expect(statusField(Number(pid), "NoNewPrivs"), pid).toBe("1");
      expect(installedFilter(Number(pid)), pid).toEqual(filter);
    }
  } finally {
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  }
});

const inFamily = (pid: number, ancestor: number): boolean => {
  for (let at = pid; at > 1; at = Number(statusField(at, "PPid"))) if (at === ancestor) return true;
  return false;
};
