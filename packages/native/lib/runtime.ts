/**
 * Opens a state directory and starts, finds and forgets containers in it. Decides nothing about what should run.
 * One runtime per state directory: it is locked for as long as the runtime is open.
 */
import { closeSync, constants as fsConstants, existsSync, openSync, readFileSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { constants, release } from "node:os";
import { isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { binding, isFailure, supervisorPath, type Binding } from "./binding.ts";
import { readCgroupLayout, type CgroupLayout } from "./cgroup-layout.ts";
import { ContainerCgroup } from "./cgroup.ts";
import { enableOnDemand, prepareParent, removeParent } from "./cgroup-parent.ts";
import { TrackedContainer } from "./container.ts";
import { LOCK_WAIT_MS } from "./forget.ts";
import { discard, removing, type Host } from "./host.ts";
import { notStartedRecord } from "./lost.ts";
import { diskLimitOf } from "./quota.ts";
import { fromSystemError, nativeError, NativeFailure } from "./errors.ts";
import { sharedCounts } from "./owners.ts";
import { openNetworks } from "./network/networks.ts";
import type { Networks } from "./network/types.ts";
import { STANDBY, SupervisorPool } from "./pool.ts";
import { parseStatus, readRecord } from "./records.ts";
import { ContainerLimits } from "./resources/limits.ts";
import { probeResources } from "./resources/probe.ts";
import type { Resources } from "./resources/resources.ts";
import type { ResourceHost } from "./resources/setting.ts";
import { enforceable } from "./resources/settings.ts";
import { StartPlans } from "./resources/start-plans.ts";
import { encodeSpec, isCgroupParent, isContainerId, type SpecContext } from "./spec.ts";
import { openJoins, type OpenedJoins } from "./joins.ts";
import { readStats } from "./stats.ts";
import { Sweeper } from "./sweeper.ts";
import { watchHost, type PressureTrigger } from "./watch.ts";
import type {
  AdoptedContainer,
  CloseOptions,
  ContainerSpec,
  ContainerStats,
  NativeError,
  Runtime,
  RuntimeFeatures,
  RuntimeOptions,
  StartResult,
} from "./types.ts";

/** Names in the state directory that are no ids. */
const TRASH = ".trash-";
const OWN = ".runtime";
const MAX_STANDBY = 64;

/** Rejects with a NativeFailure or a sentence when the host cannot run containers at all. */
export const openRuntime = async (options: RuntimeOptions): Promise<Runtime> => {
  if (!isAbsolute(options.stateDir)) throw new Error(`stateDir must be an absolute path, not ${options.stateDir}`);
  if (!isCgroupParent(options.cgroupParent))
    throw new Error(`cgroupParent must be a relative path of plain names, not ${options.cgroupParent}`);
  const { standby = 0 } = options;
  if (!Number.isInteger(standby) || standby < 0 || standby > MAX_STANDBY)
    throw new Error(`standby must be a whole number in 0..${MAX_STANDBY}, not ${standby}`);
  if (process.geteuid?.() !== 0) throw new Error("containers need root: namespaces, mounts and cgroups are made by it");
  const native = binding();
  await mkdir(join(options.stateDir, OWN), { recursive: true, mode: 0o700 });
  const prepared = await prepareParent(options.cgroupLayout ?? readCgroupLayout(), options.cgroupParent);
  const resources = await probeResources(prepared, options.cgroupParent);
  const image = native.imageOpen(supervisorPath);
  if (typeof image !== "number") throw new NativeFailure(nativeError(image.stage, image.errno, image.detail));
  const stateRoot = openSync(options.stateDir, fsConstants.O_RDONLY | fsConstants.O_DIRECTORY);
  const lock = await lockOwn(native, stateRoot);
  if (lock < 0) {
    closeSync(stateRoot);
    closeSync(image);
    throw new NativeFailure(nativeError("state.lock", -lock, lockFailure(options.stateDir, -lock)));
  }
  native.spread(stateRoot);
  return new OpenRuntime(options, prepared.layout, resources, { image, stateRoot, lock });
};

/** An agent that was just killed may leave a child that is about to execute and still holds its descriptors. */
const lockOwn = async (native: Binding, stateRoot: number): Promise<number> => {
  for (let attempt = 0; ; attempt += 1) {
    const lock = native.lock(stateRoot, OWN);
    if (-lock !== constants.errno.EWOULDBLOCK || attempt === 100) return lock;
    await sleep(20);
  }
};

interface Descriptors {
  readonly image: number;
  readonly stateRoot: number;
  readonly lock: number;
}

class OpenRuntime implements Runtime {
  readonly #options: RuntimeOptions;
  readonly #layout: CgroupLayout;
  readonly #resources: ResourceHost;
  readonly #plans: StartPlans;
  readonly #descriptors: Descriptors;
  #closed = false;
  readonly #host: Host;
  readonly #specs: SpecContext;
  readonly #diskLimit: string | null;
  readonly #missing: readonly string[];
  readonly networks: Networks;
  readonly #pool: SupervisorPool;
  #trashed = 0;
  /** Of containers that were started under another configuration. */
  readonly #parents = new Map<string, string>();

  constructor(options: RuntimeOptions, layout: CgroupLayout, resources: ResourceHost, descriptors: Descriptors) {
    this.#options = options;
    this.#layout = layout;
    this.#resources = resources;
    this.#plans = new StartPlans(layout, resources, options.cgroupParent);
    this.#descriptors = descriptors;
    const { image, stateRoot } = descriptors;
    /* Init is born into what is made early before that has its limits: one without processors takes nobody. */
    const v1 = layout.hierarchies.filter(
      ({ version, controllers }) => version === 1 && !controllers.includes("cpuset"),
    );
    const cgroupParents = v1.map(({ path }) => join(path, options.cgroupParent));
    this.#pool = new SupervisorPool(binding(), image, stateRoot, options.standby ?? 0, cgroupParents);
    this.#diskLimit = diskLimitOf(binding(), stateRoot);
    this.#specs = {
      log: options.log ?? {},
      devices: layout.onDemand.find(({ controllers }) => controllers.includes("devices")),
      attachLayers: options.attachLayers ?? !isKernelAtLeast(6, 15),
      policy: options.allow ?? {},
      limitsDisk: this.#diskLimit === null,
      stateDir: options.stateDir,
    };
    const shared = sharedCounts(readFileSync("/proc/self/uid_map", "utf8"));
    this.#missing = shared === undefined ? layout.missing : [...layout.missing, shared];
    this.networks = openNetworks(binding(), options.stateDir);
    this.#host = {
      binding: binding(),
      stateDir: options.stateDir,
      stateRoot: descriptors.stateRoot,
      bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      connections: new Set(),
      watches: new Set(),
      isClosed: () => this.#closed,
      removals: new Set(),
      sweeper: new Sweeper(binding(), stateRoot),
      trashName: (id) => `${TRASH}${id}-${process.pid}-${this.#trashed++}`,
    };
  }

  async start(spec: ContainerSpec): Promise<StartResult> {
    const { limits, strictLimits } = (spec ?? {}) as { readonly limits?: unknown; readonly strictLimits?: unknown };
    const plan = this.#plans.of(limits, strictLimits === true);
    if (!plan.ok) return notStarted(plan.error);
    const { cgroupParent } = this.#options;
    try {
      for (const hierarchy of plan.toEnable) await enableOnDemand(hierarchy, cgroupParent);
    } catch (cause) {
      return notStarted(
        cause instanceof NativeFailure ? cause.error : fromSystemError("cgroup.delegate", cause, cgroupParent),
      );
    }
    const encoded = encodeSpec(spec, this.#specs, plan.cgroups);
    if (!encoded.ok) return notStarted(encoded.error);
    const joins = await openJoins(encoded.joins);
    if (!joins.ok) return notStarted(joins.error);
    return await this.#pool.during(() => this.#launch(spec, encoded.value, plan.note, joins));
  }

  async #launch(
    spec: ContainerSpec,
    bytes: Uint8Array,
    note: string,
    joins: OpenedJoins & { readonly ok: true },
    from: "pool" | "new" = "pool",
  ): Promise<StartResult> {
    const launching = this.#pool.launch(spec.id, bytes, note, joins.fds, from);
    /* The addon duplicated them before that call returned. */
    joins.close();
    const born = await launching;
    if (isFailure(born)) return notStarted(nativeError(born.stage, born.errno, born.detail));
    const container = this.#container(spec.id, this.#options.cgroupParent, spec.limits);
    container.follow(born.socket, born.pid);
    const outcome = await container.started;
    if (outcome.started === "unknown") throw new NativeFailure(closedMeanwhile(spec.id));
    if (outcome.started) {
      await container.protect();
      return { ok: true, value: container };
    }
    if (born.waited) await this.#pool.clear(born.pid);
    /* What cannot be removed now has its exit record, and is found by the next `adopt`. */
    await container.remove().catch(() => undefined);
    /* Killed between its claim and its first deed: nobody's fault but that of having waited. */
    if (born.waited && outcome.untouched) return await this.#launch(spec, bytes, note, joins, "new");
    const error = outcome.exit.error ?? nativeError("supervisor", 0, "the supervisor ended during the start");
    return { ok: false, error, exit: outcome.exit };
  }

  async adopt(): Promise<readonly AdoptedContainer[]> {
    const names = await readdir(this.#options.stateDir);
    const left = (name: string): boolean => name.startsWith(TRASH) || name.startsWith(STANDBY);
    for (const name of names.filter(left)) {
      const failed = await this.#host.binding.removeTree(this.#host.stateRoot, name);
      if (isFailure(failed)) throw new NativeFailure(nativeError(failed.stage, failed.errno, failed.detail));
    }
    await this.#pool.clearAll();
    const ids = names.filter(isContainerId);
    const found: AdoptedContainer[] = [];
    /* A few at a time: each may wait for a dying cgroup. */
    const queue = ids.values();
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (const id of queue) found.push(await this.#adoptOne(id));
      }),
    );
    this.#pool.fill();
    return found.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async stats(ids: readonly string[]): Promise<ReadonlyMap<string, ContainerStats>> {
    const parents = new Map<string, string[]>();
    for (const id of ids.filter(isContainerId)) {
      const parent = this.#parents.get(id) ?? this.#options.cgroupParent;
      const below = parents.get(parent);
      if (below === undefined) parents.set(parent, [id]);
      else below.push(id);
    }
    const found = await Promise.all(
      [...parents].map(([parent, below]) => readStats(this.#host.binding, this.#layout, parent, below)),
    );
    return new Map(found.flatMap((each) => [...each]));
  }

  async watchPressure(trigger: PressureTrigger, listener: () => void): Promise<{ close(): void }> {
    const inner = await watchHost(this.#host.binding, trigger, listener);
    const watch = {
      close: () => {
        inner.close();
        this.#host.watches.delete(watch);
      },
    };
    this.#host.watches.add(watch);
    return watch;
  }

  features(): RuntimeFeatures {
    return {
      cgroup: this.#layout.kind,
      controllers: [...new Set(this.#layout.hierarchies.flatMap((hierarchy) => hierarchy.controllers))],
      hierarchies: this.#layout.hierarchies,
      limits: enforceable(this.#resources),
      diskLimit: this.#diskLimit,
      missing: this.#missing,
      kernel: release(),
      bootId: this.#host.bootId,
    };
  }

  async close(options: CloseOptions = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const connection of this.#host.connections) connection.destroy();
    for (const watch of this.#host.watches) watch.close();
    await this.#pool.close();
    await Promise.allSettled(this.#host.removals);
    await this.#host.sweeper.close();
    try {
      if (options.removeCgroups === true) {
        await this.#endsFinished();
        await removeParent(this.#layout, this.#options.cgroupParent);
      }
    } finally {
      closeSync(this.#descriptors.image);
      closeSync(this.#descriptors.stateRoot);
      closeSync(this.#descriptors.lock);
    }
  }

  /** A supervisor tells the end first, and takes the container's cgroup away then: for as long as it holds its lock. */
  async #endsFinished(): Promise<void> {
    const { stateDir } = this.#options;
    const ended = (await readdir(stateDir)).filter((id) => isContainerId(id) && existsSync(join(stateDir, id, "exit")));
    await Promise.all(
      ended.map(async (id) => {
        const lock = await this.#host.binding.lockSoon(this.#host.stateRoot, id, LOCK_WAIT_MS);
        if (lock >= 0) closeSync(lock);
      }),
    );
  }

  #container(id: string, cgroupParent: string, known?: Resources): TrackedContainer {
    if (cgroupParent === this.#options.cgroupParent) this.#parents.delete(id);
    else this.#parents.set(id, cgroupParent);
    const cgroup = new ContainerCgroup(this.#layout, cgroupParent, id);
    const limits = new ContainerLimits(this.#resources, cgroup, join(this.#options.stateDir, id), known);
    return new TrackedContainer(this.#host, cgroup, limits, id);
  }

  async #adoptOne(id: string): Promise<AdoptedContainer> {
    const status = await readRecord(join(this.#options.stateDir, id), "status");
    const parent = (status === undefined ? undefined : parseStatus(status))?.cgroupParent;
    /* It may have been started under another configuration. */
    const container = this.#container(
      id,
      parent !== undefined && isCgroupParent(parent) ? parent : this.#options.cgroupParent,
    );
    const kind = await container.adopt();
    if (kind === "running") return { kind, id, container };
    if (kind === "ended") return { kind, id, container, exit: await container.exited };
    return { kind, id, remove: () => removing(this.#host, () => discard(this.#host, id)) };
  }
}

const notStarted = (error: NativeError): StartResult => ({ ok: false, error, exit: notStartedRecord(error) });

const closedMeanwhile = (id: string): NativeError => {
  const detail = `the runtime was closed before ${id} was known to run: it goes on, and the next one finds it`;
  return nativeError("supervisor.start", constants.errno.ECANCELED, detail);
};

const isKernelAtLeast = (major: number, minor: number): boolean => {
  const [a = 0, b = 0] = release()
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  return a > major || (a === major && b >= minor);
};

const lockFailure = (stateDir: string, errno: number): string =>
  errno === constants.errno.EWOULDBLOCK ? `${stateDir} is in use by another agent` : `${stateDir} cannot be locked`;
