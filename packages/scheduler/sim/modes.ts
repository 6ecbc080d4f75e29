/** The kinds of runs that there are, each with more in its world than the one before. */
import { SimulatedCluster } from "./cluster.ts";
import type { SimOptions } from "./options.ts";

export const MODES = {
  plain: { policy: false },
  policy: { policy: true },
  quotas: { policy: true, quotas: true },
  devices: { policy: true, devices: true },
  daemons: { policy: true, daemons: true, quotas: true, devices: true },
  secrets: { policy: true, quotas: true, secrets: true },
  rules: { policy: true, quotas: true, devices: true, rules: true },
} as const satisfies Record<string, Omit<SimOptions, "seed" | "hosts">>;

export type Mode = keyof typeof MODES;

/** So many random things, and then everything comes to its end; throws with what must not be. */
export const simulate = (mode: Mode, seed: number, hosts: number, steps = 150): SimulatedCluster => {
  const cluster = new SimulatedCluster({ seed, hosts, ...MODES[mode] });
  for (let at = 0; at < steps; at += 1) cluster.step();
  cluster.finish();
  return cluster;
};
