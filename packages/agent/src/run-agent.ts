/**
 * Puts a real agent together: the only place that knows both the application and its adapters. The runtime is opened
 * first, because its lock is what keeps a second agent out of the same data directory.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, type PathLike } from "node:fs";
import { mkdir, readFile, realpath } from "node:fs/promises";
import { openRuntime } from "@berth/native";
import { pino, type DestinationStream } from "pino";
import {
  DEFAULT_PORT_RANGE,
  devicesFault,
  DISK,
  isLabel,
  TASK_DISK_NOT_ENFORCED,
  VOLUME_SIZES_NOT_ENFORCED,
  type AllowedPath,
  type Device,
  type HostId,
  type PortRange,
  type Resources,
} from "@berth/schema";
import { systemClock } from "./adapters/clock.ts";
import { openAllocationFiles } from "./adapters/files/allocation-files.ts";
import { openKeptLayers } from "./adapters/files/kept-layers.ts";
import { openJournal, sweepLeftovers } from "./adapters/files/journal.ts";
import { layoutOf, type Layout } from "./adapters/files/layout.ts";
import { openSealingKey } from "./adapters/files/sealing-key.ts";
import { rememberSettings } from "./adapters/files/settings.ts";
import { openImageSettings } from "./adapters/images/image-settings.ts";
import { openImages } from "./adapters/images/images.ts";
import { readInventory } from "./adapters/inventory.ts";
import { bookableDisk } from "./adapters/kernel/disk.ts";
import { linkBandwidth } from "./adapters/kernel/link.ts";
import { readMachine } from "./adapters/kernel/machine.ts";
import { allowedCpus, cellDevices, namedDevices, nvidiaDevices } from "./adapters/kernel/devices.ts";
import { createHostProbe } from "./adapters/kernel/probe.ts";
import { createSchedulerLine } from "./adapters/nats/scheduler-line.ts";
import { createVerifier } from "./adapters/verifier.ts";
import { openVolumes } from "./adapters/volumes/volume-store.ts";
import { startAgent } from "./app/agent.ts";
import { createClusterImages } from "./app/cluster-images.ts";
import { withDevices, type NamedDevice } from "./core/devices.ts";
import { capacityFault, capacityOf, shareWarnings, withFurther, withPorts, type Share } from "./core/capacity.ts";
import { DEFAULT_RETENTION, type RetentionLimits } from "./core/retention.ts";
import type { Log } from "./ports/log.ts";
import type { Volumes } from "./ports/volumes.ts";
import { DEFAULT_ID_BASE, DEFAULT_ID_COUNT, idRange, withoutBuilds } from "./core/slots.ts";

export interface AgentOptions {
  readonly host: string;
  readonly dataDir: string;
  readonly natsUrls: readonly string[];
  /** nkey seed of this host, see ensureIdentity. */
  readonly seedFile: string;
  /** Public key of the cluster (SPKI, PEM): what desired documents and requests are signed with. */
  readonly clusterKeyFile?: string;
  /** The key itself, instead of a file with it. */
  readonly clusterKey?: string;
  /** Who signs the certificate of the bus (PEM). Without it the bus is plain, which is for loopback. */
  readonly natsCaFile?: string;
  /** The same as text. */
  readonly natsCa?: string;
  /** What of this machine may be requested; without it, what it has minus a reserve. */
  readonly share?: Share;
  /** What rules of placement may ask of this host. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What else may be requested here, by name of the dimension. */
  readonly resources?: Readonly<Record<string, number>>;
  /** Devices that tasks may ask for, beside those that are found. */
  readonly devices?: readonly NamedDevice[];
  /** Whole processors may be asked for. */
  readonly pinning?: boolean;
  /** What it gives to tasks that ask for any port. */
  readonly ports?: PortRange;
  /** What of this machine jobs may mount; default: nothing. */
  readonly hostPaths?: readonly AllowedPath[];
  /** Whether containers of projects that may do so run here without the filter of system calls; default: no. */
  readonly unconfinedSeccomp?: boolean;
  readonly idBase?: number;
  readonly idCount?: number;
  /** Supervisors that wait for a start, 0 to 64; default 4. */
  readonly standby?: number;
  /** Below the root of each cgroup hierarchy; default: derived from host and data directory. */
  readonly cgroupParent?: string;
  readonly retention?: RetentionLimits;
  readonly logLevel?: string;
  /** Where log lines go; default stderr. */
  readonly logStream?: DestinationStream;
}

export interface RunningAgent {
  readonly host: HostId;
  /** Lets go in order; containers run on. */
  readonly close: () => Promise<void>;
}

/** Serves a job of a few containers at once; a burst beyond that makes its own. */
const DEFAULT_STANDBY = 4;

/** A reason not to start that an operator can act on. */
export class StartupProblem extends Error {
  override readonly name = "StartupProblem";
}

export const agentVersion = (): string => {
  const file: PathLike = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version;
};

/** Two agents of one machine never share a cgroup, whatever their hosts are called. */
export const defaultCgroupParent = (host: string, dataDir: string): string =>
  `berth/${host}-${createHash("sha256").update(dataDir).digest("hex").slice(0, 8)}`;

/** What may be requested on this machine when nothing is declared, with the disk below `directory` and its link. */
export const measureAllocatable = async (directory: string): Promise<Resources> => {
  const capacity = capacityOf(readMachine(), {});
  return withFurther(capacity, { [DISK]: await bookableDisk(directory, 0), ...linkBandwidth() }).allocatable;
};

const readText = async (path: string, what: string): Promise<string> => {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new StartupProblem(`the ${what} ${path} cannot be read`, { cause });
  }
};

/** Resolves once everything that exists on this host is known; the line is dialled from then on. */
export const runAgent = async (options: AgentOptions): Promise<RunningAgent> => {
  if (!isLabel(options.host)) {
    throw new StartupProblem(`"${options.host}" cannot name a host: 1 to 63 lower-case letters, digits and dashes`);
  }
  if (options.natsUrls.length === 0) throw new StartupProblem("no address of the bus was given");
  const host = options.host as HostId;
  const ids = idRange(options.idBase ?? DEFAULT_ID_BASE, options.idCount ?? DEFAULT_ID_COUNT);
  if (!ids.ok) throw new StartupProblem(`id range: ${ids.error}`);
  const { buildBase, containers } = withoutBuilds(ids.value);
  const log = pino(
    {
      level: options.logLevel ?? "info",
      base: { hostId: host },
      messageKey: "event",
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    options.logStream ?? pino.destination({ fd: 2, sync: true }),
  );
  await readText(options.seedFile, "seed file");
  const keyFile = options.clusterKeyFile ?? "the cluster key";
  const pem = options.clusterKey ?? (await readText(keyFile, "cluster key file"));
  const { natsCaFile } = options;
  const ca =
    options.natsCa ?? (natsCaFile === undefined ? undefined : await readText(natsCaFile, "authority of the bus"));
  const verifier = await attempt(() => createVerifier(pem), keyFile);

  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const dataDir = await realpath(options.dataDir);
  const layout = layoutOf(dataDir);
  const sealed = await attempt(() => openSealingKey(dataDir, host), "the key of secrets");
  const cgroupParent = options.cgroupParent ?? defaultCgroupParent(host, dataDir);
  const devices = await attempt(async () => {
    const named = namedDevices(options.devices ?? []);
    const isNamed = (one: Device): boolean =>
      named.some(({ device }) => device.kind === one.kind && device.id === one.id);
    const found = nvidiaDevices().filter(({ device }) => !isNamed(device));
    const all = [...found, ...named, ...(options.pinning === true ? cellDevices(allowedCpus()) : [])];
    const fault = devicesFault(all.map(({ device }) => device));
    if (fault !== undefined) throw new Error(fault);
    return all;
  }, "the devices");
  const unconfinedSeccomp = options.unconfinedSeccomp === true;
  const allow = { devices: devices.flatMap(({ nodes }) => nodes), unconfinedSeccomp };
  const standby = options.standby ?? DEFAULT_STANDBY;
  const runtime = await attempt(
    () => openRuntime({ stateDir: layout.runtime, cgroupParent, standby, allow }),
    "the container runtime",
  );
  try {
    await rememberSettings(layout, { host, cgroupParent });
    const journal = await openJournal(layout, log);
    await sweepLeftovers(layout);
    const session = randomBytes(18).toString("base64url");
    const line = createSchedulerLine({
      host,
      natsUrls: options.natsUrls,
      seedFile: options.seedFile,
      log,
      ...(ca === undefined ? {} : { ca }),
    });
    const images = await attempt(
      () =>
        openImages(
          { directory: layout.images, registries: layout.registries, settings: layout.imageSettings },
          createClusterImages(line, session, log),
          buildBase,
        ),
      "the store of images",
    );
    const volumes = await attempt(() => openVolumes(layout.volumes), "the volumes");
    const features = runtime.features();
    const readImageSettings = openImageSettings(layout.imageSettings);
    const kept = await attempt(
      () =>
        openKeptLayers({
          directory: layout.layers,
          bootId: features.bootId,
          limits: async () => (await readImageSettings()).keptLayers,
          log,
        }),
      "the layers of ended containers",
    );
    const machine = readMachine();
    const share = options.share ?? {};
    for (const warning of shareWarnings(machine, share)) log.warn({ warning }, "capacity.share_too_large");
    const inventory = readInventory({
      cgroupVersion: features.cgroup,
      notEnforced: [
        ...features.missing,
        ...(volumes.enforcesSizes ? [] : [VOLUME_SIZES_NOT_ENFORCED]),
        ...(features.diskLimit === null ? [] : [TASK_DISK_NOT_ENFORCED]),
      ],
      agentVersion: agentVersion(),
      hostPaths: options.hostPaths ?? [],
      unconfinedSeccomp,
      ...(options.labels === undefined ? {} : { labels: options.labels }),
    });
    const disk = options.resources?.[DISK] === undefined ? await diskOf(layout, volumes, log) : {};
    // What is a share of the machine has of its link what it is told: others have theirs of the same one.
    const link = Object.keys(share).length === 0 ? linkBandwidth() : {};
    const capacity = withPorts(
      withDevices(withFurther(capacityOf(machine, share), { ...disk, ...link, ...options.resources }), devices),
      options.ports ?? DEFAULT_PORT_RANGE,
    );
    const fault = capacityFault(capacity);
    if (fault !== undefined) throw new StartupProblem(fault);
    const dimensions = ["cpuMillis", "memoryBytes", "pids"] as const;
    const agent = await startAgent(
      {
        clock: systemClock,
        log,
        runtime,
        journal,
        files: openAllocationFiles(layout),
        images,
        volumes,
        kept,
        line,
        verifier,
        probe: createHostProbe(),
        sealed,
      },
      {
        host,
        session,
        bootId: features.bootId,
        ids: containers,
        retention: options.retention ?? DEFAULT_RETENTION,
        hostPaths: options.hostPaths ?? [],
        devices,
        declared: new Set(dimensions.filter((dimension) => share[dimension] !== undefined)),
      },
      { inventory, capacity },
    );
    log.info({ dataDir, cgroupParent, version: agentVersion() }, "agent.ready");
    return {
      host,
      close: async () => {
        await agent.close();
        log.info({}, "agent.closed");
      },
    };
  } catch (error) {
    await runtime.close();
    throw error;
  }
};

/** Counting what volumes hold must not hold up the start: without it, less may be booked until the next one. */
const COUNT_MS = 3_000;

const diskOf = async (layout: Layout, volumes: Volumes, log: Log): Promise<Readonly<Record<string, number>>> => {
  const held = await volumes.usedBytes(COUNT_MS);
  if (held === undefined) log.warn({ withinMs: COUNT_MS }, "volumes.not_counted");
  return { [DISK]: await bookableDisk(layout.root, held ?? 0) };
};

const attempt = async <T>(work: () => T | Promise<T>, what: string): Promise<T> => {
  try {
    return await work();
  } catch (cause) {
    throw new StartupProblem(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
};
