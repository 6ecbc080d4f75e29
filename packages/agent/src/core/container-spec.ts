/**
 * From a job spec and an allocation to what the runtime starts: substitution, environment, mounts, limits. Decides what a
 * task sees of itself; knows nothing of files.
 *
 * `${INDEX}` and `${COUNT}` are replaced in the command and in values of the environment; nothing else is, so that shell
 * text like `${HOME}` reaches the shell as it was written.
 */
import {
  DISK,
  portVariable,
  SECRETS_DIRECTORY,
  taskName,
  volumeNameOf,
  type AllocationId,
  type DesiredAllocation,
  type HostId,
  type JobSpec,
} from "@berth/schema";
import type { ContainerSpec, Mount } from "./container.ts";
import type { DeviceSettings } from "./devices.ts";
import { isMachine } from "./images/machine.ts";
import type { TaskSecrets } from "./secrets.ts";
import type { PreparedImage } from "./images/prepared.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MAX_HOSTNAME = 63;

/** Its console is a terminal, whose output is the task's log. */
const MACHINE = { machine: true, terminal: { rows: 24, columns: 80 } } as const;
/** What an init expects to find empty and its own (systemd.io/CONTAINER_INTERFACE). */
const MACHINE_MOUNTS: readonly Mount[] = [
  { kind: "tmpfs", target: "/run" },
  { kind: "tmpfs", target: "/tmp", mode: 0o1777 },
];

export interface Task {
  readonly host: HostId;
  readonly allocation: DesiredAllocation;
  readonly spec: JobSpec;
}

const substitute = (text: string, { allocation, spec }: Task): string =>
  text.replaceAll("${INDEX}", String(allocation.index)).replaceAll("${COUNT}", String(spec.count));

/** `thumbs-17`: a valid host name whatever the length of the job's name. */
export const hostnameOf = (allocation: DesiredAllocation): string => {
  const suffix = `-${allocation.index}`;
  return `${allocation.job.slice(0, MAX_HOSTNAME - suffix.length)}${suffix}`;
};

/** The job's own variables win over those of the image, and these over defaults; what Berth says of the task wins over all. */
export const environmentOf = (
  task: Task,
  image: Readonly<Record<string, string>> = {},
  secrets: TaskSecrets["env"] = {},
): Readonly<Record<string, string>> => {
  const { allocation, host, spec } = task;
  const own = Object.fromEntries(Object.entries(spec.env).map(([key, value]) => [key, substitute(value, task)]));
  return {
    PATH,
    HOME: "/root",
    ...image,
    HOSTNAME: hostnameOf(allocation),
    ...own,
    ...secrets,
    BERTH_PROJECT: allocation.project,
    BERTH_JOB: allocation.job,
    BERTH_TASK: taskName(allocation.job, allocation.index),
    BERTH_INDEX: String(allocation.index),
    // The tasks of a daemon follow the hosts: their number is another one tomorrow.
    ...(spec.kind !== "daemon" && { BERTH_COUNT: String(spec.count) }),
    ...Object.fromEntries((allocation.ports ?? []).map(({ name, port }) => [portVariable(name), String(port)])),
    BERTH_ATTEMPT: String(allocation.attempt),
    BERTH_ALLOCATION: allocation.id,
    BERTH_HOST: host,
  };
};

/** Where an output path lies below the directory of all outputs: `/out/a` → `out/a`. */
export const outputFolder = (path: string): string => path.replace(/^\/+/, "");

/** Without what it has of the host's devices. */
export const limitsOf = (spec: JobSpec): ContainerSpec["limits"] => {
  const { cpuMillis, ...limits } = spec.limits;
  return { ...limits, cpuRequestMillis: spec.requests.cpuMillis, cpuLimitMillis: cpuMillis };
};

/** As its job has them now, for a container that runs: processors and memory nodes are those that it was given. */
export const limitsNow = (spec: JobSpec, before: ContainerSpec["limits"] | undefined): ContainerSpec["limits"] => ({
  ...limitsOf(spec),
  ...(before?.cpus !== undefined && { cpus: before.cpus }),
  ...(before?.memoryNodes !== undefined && { memoryNodes: before.memoryNodes }),
});

export interface Placement {
  readonly id: AllocationId;
  readonly image: PreparedImage;
  readonly idBase: number;
  /** The host directory that holds one folder for each output. */
  readonly outputRoot: string;
  /** Directories of volumes, by name. */
  readonly volumes: ReadonlyMap<string, string>;
  /** What it has of the host's devices. */
  readonly devices?: DeviceSettings;
  /** Of a singleton. */
  readonly lease?: ContainerSpec["lease"];
  readonly secrets?: TaskSecrets;
}

export const containerSpecOf = (task: Task, place: Placement): ContainerSpec => {
  const { spec } = task;
  const { layers, defaults } = place.image;
  const settings = spec.container ?? {};
  const user = spec.user ?? defaults.user;
  const volumes: Mount[] = spec.volumes.map((volume) => {
    const { readOnly, target } = volume;
    if ("source" in volume) return { source: volume.source, target, readOnly };
    const source = place.volumes.get(volumeNameOf(volume.volume, task.allocation.index));
    if (source === undefined) throw new Error(`${task.allocation.id} has no directory for ${volume.volume}`);
    return { source, target, readOnly, recursive: false };
  });
  const outputs: Mount[] = spec.outputs.map(({ path }) => ({
    source: `${place.outputRoot}/${outputFolder(path)}`,
    target: path,
    readOnly: false,
  }));
  const taken = new Set([...volumes, ...outputs, ...(settings.mounts ?? [])].map(({ target }) => target));
  const machine = isMachine(place.image, spec);
  const diskBytes = spec.requests.more?.[DISK] ?? 0;
  return {
    id: place.id,
    layers,
    ...(place.image.shifted === true && { shiftedLayers: true }),
    ...(machine ? MACHINE : {}),
    command: spec.command.length === 0 ? defaults.command : spec.command.map((word) => substitute(word, task)),
    env: { ...environmentOf(task, defaults.env, place.secrets?.env), ...place.devices?.env },
    workdir: spec.workdir === "" ? defaults.workdir : spec.workdir,
    hostname: hostnameOf(task.allocation),
    ...settings,
    ...(machine ? { init: false } : {}),
    // Outer mounts first: a mount on /a would hide one on /a/b that was made before it.
    mounts: [
      ...volumes,
      ...outputs,
      ...(settings.mounts ?? []),
      ...(machine ? MACHINE_MOUNTS.filter(({ target }) => !taken.has(target)) : []),
    ].toSorted((a, b) => a.target.split("/").length - b.target.split("/").length),
    idBase: place.idBase,
    ...(place.lease === undefined ? {} : { lease: place.lease }),
    ...(place.secrets !== undefined &&
      Object.keys(place.secrets.files).length > 0 && {
        secrets: { target: SECRETS_DIRECTORY, files: place.secrets.files },
      }),
    ...(user === "" ? {} : { user }),
    ...(settings.stopSignal === undefined && defaults.stopSignal !== null ? { stopSignal: defaults.stopSignal } : {}),
    ...(place.devices !== undefined && place.devices.nodes.length > 0 && { devices: place.devices.nodes }),
    ...(diskBytes > 0 && { diskBytes }),
    limits: {
      ...limitsOf(spec),
      ...(place.devices?.cpus !== undefined && { cpus: place.devices.cpus }),
      ...(place.devices?.memoryNodes !== undefined && { memoryNodes: place.devices.memoryNodes }),
    },
  };
};
