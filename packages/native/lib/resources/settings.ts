/**
 * From what a container may use to the cgroup files of one host: every file with its value, and every limit that this
 * host cannot enforce with the reason. Pure; the only place that knows which knob is which file.
 */
import type { Controller } from "../cgroup-layout.ts";
import { cpuSettings, cpusetSettings } from "./cpu.ts";
import { hasCeiling, ioSettings } from "./io.ts";
import { hugePageSettings, memorySettings } from "./memory.ts";
import type { Knob, Resources, Unenforced } from "./resources.ts";
import type { HostHierarchy, ResourceHost, Setting } from "./setting.ts";

export interface Settings {
  /** In the order in which a new cgroup takes them. */
  readonly settings: readonly Setting[];
  readonly unenforced: readonly Unenforced[];
}

export const settingsOf = (wanted: Resources, host: ResourceHost): Settings => {
  const settings: Setting[] = [];
  const unenforced: Unenforced[] = [];
  const refuse = (knob: Knob, reason: string): void => {
    if (!unenforced.some((other) => other.knob === knob && other.reason === reason)) unenforced.push({ knob, reason });
  };
  for (const { controller, settings: make } of CONTROLLED) {
    const asked = askedOf(wanted, controller);
    const hierarchy = host.hierarchies.find((candidate) => candidate.controllers.includes(controller));
    if (hierarchy === undefined) {
      for (const knob of asked) refuse(knob, host.reasons[controller] ?? noController(controller));
      continue;
    }
    for (const setting of make(wanted, hierarchy, host)) {
      if (hierarchy.files.has(setting.file)) settings.push(setting);
      /* A file that is not there and would hold what the kernel does anyway is no loss. */ else if (
        setting.value !== setting.initial
      )
        refuse(knobOf(setting.file), `this kernel has no ${setting.file}`);
    }
    for (const knob of asked) {
      const reason = lackOf(knob, wanted, hierarchy, host);
      if (reason !== undefined) refuse(knob, reason);
    }
    if (controller === "io")
      for (const { device, weight } of wanted.ioLimits ?? [])
        if (weight !== undefined && !host.weighedDisks.has(device))
          refuse("ioLimits", `disk ${device} uses neither the bfq scheduler nor io.cost, which heed weights`);
  }
  return { settings, unenforced };
};

const pidSettings = (wanted: Resources, { path }: HostHierarchy): Setting[] => [
  /* The container's own init counts as one process; fewer than two could not start anything. */
  { path, controller: "pids", file: "pids.max", value: `${Math.max(2, wanted.pids)}`, initial: "max" },
];

const CONTROLLED: readonly {
  readonly controller: Controller;
  readonly settings: (wanted: Resources, hierarchy: HostHierarchy, host: ResourceHost) => Setting[];
}[] = [
  { controller: "cpu", settings: cpuSettings },
  { controller: "cpuset", settings: cpusetSettings },
  { controller: "memory", settings: memorySettings },
  { controller: "pids", settings: pidSettings },
  { controller: "io", settings: ioSettings },
  { controller: "hugetlb", settings: hugePageSettings },
];

const CONTROLLER_OF: Readonly<Record<Knob, Controller>> = {
  cpuRequestMillis: "cpu",
  cpuLimitMillis: "cpu",
  cpuBurstMillis: "cpu",
  cpus: "cpuset",
  memoryNodes: "cpuset",
  memoryBytes: "memory",
  memoryHighBytes: "memory",
  memoryLowBytes: "memory",
  swapBytes: "memory",
  pids: "pids",
  ioWeight: "io",
  ioLimits: "io",
  hugePages: "hugetlb",
};
/** All there are, in the order of `Resources`. */
export const KNOBS = Object.keys(CONTROLLER_OF) as readonly Knob[];

/** The knobs of a controller that a container was given, its silent defaults not counted. */
const askedOf = (wanted: Resources, controller: Controller): Knob[] =>
  KNOBS.filter((knob) => {
    const value = wanted[knob];
    if (CONTROLLER_OF[knob] !== controller || value === undefined || value === null) return false;
    if (knob === "cpuBurstMillis" || knob === "memoryLowBytes") return value !== 0;
    return typeof value !== "object" || Object.keys(value).length > 0;
  });

/** What a hierarchy that has the controller still cannot do. */
const lackOf = (knob: Knob, wanted: Resources, { version }: HostHierarchy, host: ResourceHost): string | undefined => {
  if (version === 1 && knob === "memoryHighBytes") return "cgroup v1 has no memory.high: it kills at the limit only";
  if (version === 1 && knob === "memoryLowBytes")
    return "cgroup v1 protects no memory: its soft limit only says whose memory is taken first";
  if (version === 1 && knob === "ioLimits" && (wanted.ioLimits ?? []).some(hasCeiling))
    return "cgroup v1 limits reads and direct writes; what goes through the page cache is written without a limit";
  if (knob === "ioWeight" && host.ioWeights === undefined)
    return "no disk of this host uses the bfq scheduler or io.cost, which heed weights";
  return undefined;
};

const knobOf = (file: string): Knob => {
  if (file === "cpu.shares" || file === "cpu.weight") return "cpuRequestMillis";
  if (file.includes("burst")) return "cpuBurstMillis";
  if (file.startsWith("cpu.")) return "cpuLimitMillis";
  if (file === "cpuset.mems" || file === "cpuset.memory_migrate") return "memoryNodes";
  if (file.startsWith("cpuset.")) return "cpus";
  if (file.includes("swap") || file.includes("memsw")) return "swapBytes";
  if (file === "memory.high") return "memoryHighBytes";
  if (file === "memory.low") return "memoryLowBytes";
  if (file.startsWith("memory.")) return "memoryBytes";
  if (file.startsWith("pids.")) return "pids";
  if (file.startsWith("hugetlb.")) return "hugePages";
  return file.includes("weight") ? "ioWeight" : "ioLimits";
};

const noController = (controller: Controller): string => `this host has no ${controller} controller`;

/** Of each knob, why this host cannot enforce it, or null. */
export const enforceable = (host: ResourceHost): Readonly<Record<Knob, string | null>> => {
  const { unenforced } = settingsOf(EVERYTHING, host);
  const reasonOf = (knob: Knob) => unenforced.find((lack) => lack.knob === knob)?.reason ?? null;
  return Object.fromEntries(KNOBS.map((knob) => [knob, reasonOf(knob)])) as Record<Knob, string | null>;
};

const EVERYTHING: Resources = {
  cpuRequestMillis: 1,
  cpuLimitMillis: 1000,
  cpuBurstMillis: 1000,
  cpus: "0",
  memoryNodes: "0",
  memoryBytes: 2 ** 30,
  memoryHighBytes: 2 ** 29,
  memoryLowBytes: 2 ** 28,
  swapBytes: 0,
  pids: 2,
  ioWeight: 50,
  ioLimits: [{ device: "8:0", readBytesPerSecond: 2, writeBytesPerSecond: 2, readsPerSecond: 2, writesPerSecond: 2 }],
  hugePages: { "2MB": 0 },
};
