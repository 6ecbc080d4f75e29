/**
 * Slow facts about this host, read once at start-up. systeminformation knows distributions and processors but spawns a
 * dozen programs for it: it gets a few seconds, and what it does not say in time comes from Node instead.
 */
import { arch, cpus, hostname, release, totalmem, type } from "node:os";
import { cpu, osInfo } from "systeminformation";
import type { AllowedPath, Inventory } from "@berth/schema";

const TIMEOUT_MS = 5000;
const MAX_TEXT = 256;

const clip = (text: string): string => text.slice(0, MAX_TEXT);

const within = async <T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([work.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
};

export interface InventoryParts {
  readonly cgroupVersion: Inventory["cgroupVersion"];
  readonly notEnforced: readonly string[];
  readonly agentVersion: string;
  readonly hostPaths: readonly AllowedPath[];
  readonly unconfinedSeccomp?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
}

export const readInventory = async (parts: InventoryParts, timeoutMs = TIMEOUT_MS): Promise<Inventory> => {
  const [os, processor] = await Promise.all([within(osInfo(), timeoutMs), within(cpu(), timeoutMs)]);
  const distribution = os === undefined ? "" : `${os.distro} ${os.release}`.trim();
  const brand = processor === undefined ? "" : `${processor.manufacturer} ${processor.brand}`.trim();
  return {
    hostname: clip(hostname()),
    arch: clip(arch()),
    os: clip(distribution === "" ? type() : distribution),
    kernel: clip(release()),
    cpuModel: clip(brand === "" ? (cpus()[0]?.model ?? "unknown") : brand),
    cpuCount: cpus().length,
    memoryBytes: totalmem(),
    cgroupVersion: parts.cgroupVersion,
    notEnforced: parts.notEnforced.slice(0, 64).map(clip),
    agentVersion: clip(parts.agentVersion),
    hostPaths: [...parts.hostPaths],
    // Said only where it is so: a scheduler of a version that does not know it takes no greeting that says it.
    ...(parts.unconfinedSeccomp === true && { unconfinedSeccomp: true }),
    ...(parts.labels === undefined || Object.keys(parts.labels).length === 0 ? {} : { labels: { ...parts.labels } }),
  };
};
