/** Makes and removes the network of several hosts on one machine, with iproute2. Removal finds things by their names. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Exit, Failure } from "../failure.ts";
import { bridgeName, linkPrefix, namespacePrefix, networkTag, planNetwork, type NetworkPlan } from "./network-plan.ts";

const run = promisify(execFile);

const ip = async (...args: string[]): Promise<string> => {
  try {
    return (await run("ip", args, { timeout: 20_000, maxBuffer: 16 * 2 ** 20 })).stdout;
  } catch (error) {
    const { code, stderr } = error as { readonly code?: string | number; readonly stderr?: string };
    throw new Failure("Cannot make the network of the hosts", {
      exit: Exit.unavailable,
      detail:
        code === "ENOENT"
          ? "the program ip is missing"
          : `ip ${args.join(" ")}: ${(stderr ?? "").trim() || String(error)}`,
      next: [
        code === "ENOENT" ? "apt-get install iproute2" : "berth doctor",
        "berth up          (without --hosts, it needs no network)",
      ],
      cause: error,
    });
  }
};

interface Named {
  readonly ifname?: string;
  readonly name?: string;
}

const json = async <T>(...args: string[]): Promise<T[]> => {
  const text = (await ip("-json", ...args)).trim();
  return text === "" ? [] : (JSON.parse(text) as T[]);
};

/** What is in use already, so that ours does not clash with it. */
const takenAddresses = async (): Promise<string[]> => {
  const links = await json<{ readonly addr_info?: { readonly local?: string; readonly prefixlen?: number }[] }>(
    "address",
  );
  const routes = await json<{ readonly dst?: string }>("-4", "route", "show", "table", "all");
  return [
    ...links.flatMap((link) => (link.addr_info ?? []).map((one) => `${one.local ?? ""}/${one.prefixlen ?? 32}`)),
    ...routes.map((route) => route.dst ?? ""),
  ];
};

/** Sets everything up; what an earlier start left was removed before. */
export const makeNetwork = async (dataDir: string, hostIds: readonly string[]): Promise<NetworkPlan> => {
  const plan = planNetwork(dataDir, hostIds, await takenAddresses());
  if (plan === undefined) {
    throw new Failure("No address is free for the network of the hosts", {
      exit: Exit.unavailable,
      detail: "all of 198.18.0.0/15 is in use",
      next: ["berth up          (without --hosts)"],
    });
  }
  await ip("link", "add", plan.bridge, "type", "bridge");
  await ip("address", "add", `${plan.gateway}/${plan.prefixLength}`, "dev", plan.bridge);
  await ip("link", "set", plan.bridge, "up");
  for (const host of plan.hosts) {
    await ip("netns", "add", host.namespace);
    await ip("link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", host.namespace);
    await ip("link", "set", host.link, "master", plan.bridge, "up");
    await ip("-netns", host.namespace, "address", "add", `${host.address}/${plan.prefixLength}`, "dev", "eth0");
    await ip("-netns", host.namespace, "link", "set", "lo", "up");
    await ip("-netns", host.namespace, "link", "set", "eth0", "up");
    await ip("-netns", host.namespace, "route", "add", "default", "via", plan.gateway);
  }
  return plan;
};

/**
 * Removes whatever bears the names of this data directory; resolves to how much that was. Containers that go on hold
 * their namespace alive without its name, but its link is gone.
 */
export const removeNetwork = async (dataDir: string): Promise<number> => {
  const tag = networkTag(dataDir);
  const links = (await json<Named>("link")).flatMap((link) => link.ifname ?? []);
  const namespaces = (await json<Named>("netns", "list")).flatMap((one) => one.name ?? []);
  let removed = 0;
  for (const link of links.filter((name) => name === bridgeName(tag) || name.startsWith(linkPrefix(tag)))) {
    await ip("link", "delete", link);
    removed += 1;
  }
  for (const namespace of namespaces.filter((name) => name.startsWith(namespacePrefix(tag)))) {
    await ip("netns", "delete", namespace);
    removed += 1;
  }
  return removed;
};

/** The words before a command that run it in a host's network and change nothing else (`ip netns exec` remounts /sys). */
export const inNamespace = (namespace: string): string[] => ["nsenter", `--net=/run/netns/${namespace}`, "--"];
