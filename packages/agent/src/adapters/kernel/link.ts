/**
 * What the kernel says of the link by which this machine reaches others: `speed` of sysfs, in Mbit/s, which bonds and bridges
 * have as well. Nothing is said of one that does not know (many virtual machines), is down, or is no Ethernet.
 */
import { networkInterfaces } from "node:os";
import { NETWORK } from "@berth/schema";
import { defaultInterface } from "../../core/default-route.ts";
import { readKernelFile } from "./machine.ts";

const MEGABIT = 1_000_000;

/** By dimension, both ways; empty when unknown. */
export const linkBandwidth = (): Readonly<Record<string, number>> => {
  const name = defaultInterface(readKernelFile("/proc/net/route") ?? "", readKernelFile("/proc/net/ipv6_route") ?? "");
  if (name === undefined || !/^[^/]{1,15}$/.test(name) || name.startsWith(".")) return {};
  // sysfs shows the network namespace that it was mounted in, which need not be ours: another eth0 is another link.
  const mac = readKernelFile(`/sys/class/net/${name}/address`)?.trim();
  if (!(networkInterfaces()[name] ?? []).some((address) => address.mac === mac)) return {};
  const speed = Number(readKernelFile(`/sys/class/net/${name}/speed`) ?? -1);
  if (!Number.isInteger(speed) || speed <= 0) return {};
  return { [NETWORK.ingress]: speed * MEGABIT, [NETWORK.egress]: speed * MEGABIT };
};
