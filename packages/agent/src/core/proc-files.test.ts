import { expect, test } from "vitest";
import {
  countCpuList,
  cpuMillisBetween,
  parseAllowedCpus,
  parseIdMapBase,
  parseLoadavg,
  parseMeminfo,
  parseNumber,
  parsePressure,
  parseStartedBoottimeMs,
  parseStat,
} from "./proc-files.ts";

const stat = (user: number, idle: number, iowait = 0): string =>
  `cpu  ${user} 0 0 ${idle} ${iowait} 0 0 0 2 0\ncpu0 1 0 1 1 1 0 0 0 2 0\ncpu1 1 0 1 1 1 0 0 0 0 0\nintr 5\n`;

test("/proc/stat: what runs is busy, waiting for I/O is idle, guests are counted once", () => {
  expect(parseStat("cpu  11661 5 16989 692896 893 1 129 196 2 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")).toEqual({
    busyTicks: 11661 + 5 + 16989 + 1 + 129 + 196,
    totalTicks: 11661 + 5 + 16989 + 692896 + 893 + 1 + 129 + 196,
    cpus: 1,
  });
});

test("use between two readings, in thousandths of a CPU over all CPUs", () => {
  const before = parseStat(stat(100, 900));
  const after = parseStat(stat(150, 940, 10));
  if (before === undefined || after === undefined) throw new Error("not parsed");
  expect(cpuMillisBetween(before, after)).toBe(1000);
  expect(cpuMillisBetween(after, before)).toBe(0);
  expect(cpuMillisBetween(after, after)).toBe(0);
});

test("/proc/meminfo", () => {
  expect(parseMeminfo("MemTotal:       24684084 kB\nMemFree:        1 kB\nMemAvailable:   24386576 kB\n")).toEqual({
    totalBytes: 24684084 * 1024,
    availableBytes: 24386576 * 1024,
  });
  expect(parseMeminfo("MemTotal:       100 kB\nMemFree:        60 kB\n")?.availableBytes).toBe(60 * 1024);
});

test("/proc/loadavg", () => {
  expect(parseLoadavg("0.06 0.24 0.17 1/92 12856\n")).toEqual({ load1: 0.06, tasks: 92 });
});

test("/proc/pressure: percent becomes a share, a missing full line is none", () => {
  const text =
    "some avg10=2.50 avg60=0.13 avg300=0.80 total=25762857\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n";
  expect(parsePressure(text)).toEqual({ some10: 0.025, full10: 0.01 });
  expect(parsePressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")).toEqual({ some10: 0, full10: 0 });
});

test("lists of CPUs", () => {
  expect(countCpuList("0-3,8,10-11\n")).toBe(7);
  expect(countCpuList("0")).toBe(1);
  expect(countCpuList("\n")).toBe(0);
  for (const wrong of ["a", "3-1", "1,", "-1", "1-", "1 2", "99999999"])
    expect(countCpuList(wrong), wrong).toBeUndefined();
  expect(parseAllowedCpus("Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n")).toBe(2);
});

test("/proc/PID/uid_map", () => {
  expect(parseIdMapBase("         0  536870912      65536\n")).toBe(536_870_912);
  expect(parseIdMapBase("         1  536870912      65536\n")).toBeUndefined();
});

test("a process began some ticks after the boot, whatever it is called", () => {
  const rest = `S 1 2 3 0 -1 4194560 ${"7 ".repeat(12)}1234 5 6`;
  expect(parseStartedBoottimeMs(`42 (a) b ) ${rest}`)).toBe(12_340);
  expect(parseStartedBoottimeMs("42 (a) S 1 2")).toBeUndefined();
  expect(parseStartedBoottimeMs("")).toBeUndefined();
});

test("what is not what it should be is unknown, not zero", () => {
  for (const text of ["", "nonsense", "cpu a b c d", "\0\0\0", "cpu  -1 0 0 0 0 0 0 0"]) {
    expect(
      [parseStat(text), parseMeminfo(text), parseLoadavg(text), parsePressure(text), parseNumber(text)],
      text,
    ).toEqual(Array.from({ length: 5 }));
  }
  expect(parseNumber("32768\n")).toBe(32_768);
});
