/** What the checker counts of hosts and requests, by itself. */
import type { Resources } from "@berth/schema";

export const AMOUNTS = ["cpuMillis", "memoryBytes", "pids"] as const;

export const isLess = (now: Resources, before: Resources | null): boolean =>
  before !== null &&
  (AMOUNTS.some((amount) => now[amount] < before[amount]) ||
    Object.entries(before.more ?? {}).some(([name, amount]) => (now.more?.[name] ?? 0) < amount));
