import { expect, test } from "vitest";
import { defaultInterface } from "./default-route.ts";

const HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT \n";
const ipv4 = (name: string, to: string, metric: number, mask: string, flags = "0003") =>
  `${name}\t${to}\t010200C0\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0   \n`;
const zero = "0".repeat(32);
const ipv6 = (name: string, metric: string, flags: string, to = zero, prefix = "00") =>
  `${to} ${prefix} ${zero} 00 fd000000000000000000000000000001 ${metric} 00000003 00000000 ${flags} ${name.padStart(8)}\n`;

test("the default route of the least metric decides, and others are none", () => {
  const near = ipv4("eth1", "000200C0", 0, "00FFFFFF", "0001");
  const half = ipv4("tun0", "00000000", 0, "00000080");
  const down = ipv4("eth2", "00000000", 0, "00000000", "0002");
  const two = ipv4("wlan0", "00000000", 600, "00000000") + ipv4("eth0", "00000000", 100, "00000000");
  expect(defaultInterface(HEAD + near + half + down + two, "")).toBe("eth0");
  expect(defaultInterface(HEAD + near + half + down, "")).toBeUndefined();
});

test("without one of IPv4, that of IPv6 does: not the kernel's own, which leads nowhere", () => {
  const kernels = ipv6("lo", "ffffffff", "00200200");
  const local = ipv6("eth9", "00000100", "00000001", "fd".padEnd(32, "0"), "40");
  expect(defaultInterface(HEAD, kernels + local)).toBeUndefined();
  expect(defaultInterface(HEAD, kernels + ipv6("eth3", "00000400", "00000003") + local)).toBe("eth3");
  const both = HEAD + ipv4("eth0", "00000000", 9, "00000000");
  expect(defaultInterface(both, ipv6("eth3", "00000001", "00000003"))).toBe("eth0");
});

test("what is not understood is no route", () => {
  expect(defaultInterface("", "")).toBeUndefined();
  expect(defaultInterface("x", "\n \n0 0 0\n")).toBeUndefined();
});
