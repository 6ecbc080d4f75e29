/**
 * A host as an agent meets it, in memory: a kernel with containers and a disk with a journal, which outlive the agent, and
 * a life of the agent, which can end at any instant. From then on nothing that this life still tries has any effect and
 * none of its promises settles: the same as kill -9.
 *
 * Faithful where it matters: an id is never started twice by the runtime itself (that would hide what is tested, so it
 * throws), an ended container is found until it is removed, operations take a few turns and may be cut off before or
 * after their effect.
 */
import type { AllocationId, Signed } from "@berth/schema";
import { NO_VERSION, type Version } from "../core/accept.ts";
import type { ContainerSpec, ExitRecord, RuntimeError } from "../core/container.ts";
import type { AllocationRecord } from "../core/record.ts";
import { noVerbs } from "./no-verbs.ts";
import { NO_DEFAULTS } from "../core/images/prepared.ts";
import type { AllocationFiles } from "../ports/files.ts";
import type { Images } from "../ports/images.ts";
import type { KeptLayers } from "../ports/kept-layers.ts";
import type { Journal } from "../ports/journal.ts";
import type { AdoptedContainer, Container, Runtime, StartResult } from "../ports/runtime.ts";
import type { Volumes } from "../ports/volumes.ts";
import { turns, type FakeClock } from "./fake-clock.ts";

interface KernelContainer {
  spec: ContainerSpec;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly startedBoottimeMs: number;
  exit: ExitRecord | undefined;
  /** When its supervisor ends it, on the clock of the boot. */
  untilMs: number | undefined;
  paused: boolean;
  listeners: ((exit: ExitRecord) => void)[];
}

const USED = { cpuUsageMicros: 0, memoryBytes: 0, pids: 1 };

export class FakeHost {
  readonly clock: FakeClock;
  readonly containers = new Map<string, KernelContainer>();
  /** How often each id was really started. */
  readonly starts = new Map<string, number>();
  /** How often each id ended because the machine did. */
  readonly rebooted = new Map<string, number>();
  /** Ids that one boot of the machine started more than once: must stay empty. */
  readonly twiceInOneBoot: string[] = [];
  #startedInThisBoot = new Set<string>();
  /** Id ranges that two live containers shared: must stay empty. */
  readonly sharedRanges: string[] = [];
  readonly records = new Map<AllocationId, AllocationRecord>();
  readonly damaged = new Set<AllocationId>();
  readonly everDamaged = new Set<AllocationId>();
  desired: { readonly document: Signed; readonly version: Version } | undefined;
  fence = 0;
  /** Directories that were made for outputs, and those that are kept, by allocation. */
  readonly prepared = new Map<AllocationId, readonly string[]>();
  /** Who holds an image. */
  readonly held = new Set<string>();
  /** Volumes on disk. */
  readonly volumes = new Set<string>();
  /** Allocations whose layers are kept. */
  readonly layers = new Set<AllocationId>();
  readonly kept = new Map<AllocationId, readonly string[]>();
  diskFull = false;
  /** Containers begin, and nobody is told before the runtime is closed. */
  startsOpen = false;
  startFailure: ((spec: ContainerSpec) => ExitRecord | undefined) | undefined;
  limitsFailure: ((limits: ContainerSpec["limits"]) => RuntimeError | undefined) | undefined;
  #pids = 100;
  readonly #random: () => number;

  constructor(clock: FakeClock, random: () => number = () => 0) {
    this.clock = clock;
    this.#random = random;
  }

  /** The ports of one life of the agent, and how to end it. */
  live(): {
    readonly runtime: Runtime;
    readonly journal: Journal;
    readonly files: AllocationFiles;
    readonly images: Images;
    readonly volumes: Volumes;
    readonly kept: KeptLayers;
    readonly kill: () => void;
  } {
    const life = { alive: true };
    const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
    const pause = (): Promise<void> => turns(Math.floor(this.#random() * 3));
    const act = async <T>(effect: () => T): Promise<T> => {
      await pause();
      if (!life.alive) return await never();
      const result = effect();
      await pause();
      return life.alive ? result : await never();
    };
    const write = <T>(effect: () => T): Promise<T> =>
      act(() => {
        if (this.diskFull) throw new Error("ENOSPC: no space left on device");
        return effect();
      });
    const cutOff: (() => void)[] = [];
    return {
      kill: () => {
        life.alive = false;
      },
      runtime: {
        start: async (spec) => {
          const result = await act(() => this.#start(spec, life));
          if (!this.startsOpen) return result;
          return await new Promise((_, reject) => cutOff.push(() => reject(new Error("the runtime was closed"))));
        },
        adopt: () => act(() => this.#adopt(life)),
        stats: (ids) =>
          act(() => new Map(ids.map((id) => [id, { ...USED, paused: this.containers.get(id)?.paused === true }]))),
        features: () => ({ cgroup: "v2", missing: [], diskLimit: null, bootId: "boot" }),
        close: () => act(() => cutOff.splice(0).forEach((reject) => reject())),
      },
      journal: {
        loadDesired: () =>
          act(() => ({
            document: this.desired?.document,
            floor: this.desired?.version ?? NO_VERSION,
            fence: this.fence,
          })),
        saveDesired: (document, version) => write(() => void (this.desired = { document, version })),
        saveFence: (epoch) => write(() => void (this.fence = epoch)),
        loadRecords: () =>
          act(() => ({
            records: [...this.records.values()].filter((record) => !this.damaged.has(record.id)),
            unreadable: [...this.damaged].filter((id) => this.records.has(id)),
          })),
        saveRecord: (record) =>
          write(() => {
            this.records.set(record.id, record);
            this.damaged.delete(record.id);
          }),
        forget: (id) => write(() => void this.records.delete(id)),
      },
      volumes: {
        enforcesSizes: true,
        ensure: ({ id, mustExist, name }) =>
          write(() => {
            if (mustExist && !this.volumes.has(id)) return { ok: false, error: `the volume ${name} is lost` };
            this.volumes.add(id);
            return { ok: true, value: `/volumes/${id}/data` };
          }),
        stat: (id) => act(() => (this.volumes.has(id) ? { id, usedBytes: 0, entries: 0 } : undefined)),
        fill: (id) =>
          write(() => {
            this.volumes.add(id);
            return { state: "ready", error: null };
          }),
        give: async function* () {
          yield await act(() => new Uint8Array(1024));
        },
        isGiven: () => false,
        isHere: (id) => act(() => this.volumes.has(id)),
        take: (id) =>
          write(() => {
            this.volumes.add(id);
            return { entries: 0, bytes: 0 };
          }),
        usedBytes: () => act(() => 0),
        remove: (id) => write(() => void this.volumes.delete(id)),
      },
      kept: {
        keep: ({ allocation }) => write(() => (this.layers.add(allocation), true)),
        get: () => undefined,
        list: () => [],
        directory: (id) => `/layers/${id}`,
        hold: () => () => undefined,
        isHeld: () => false,
        remove: () => act(() => false),
        drop: () => act(() => []),
        flush: () => act(() => undefined),
      },
      files: {
        prepareOutputs: (id, outputs) =>
          write(() => {
            this.prepared.set(id, outputs);
            return `/outputs/${id}`;
          }),
        collectOutputs: (id) =>
          write(() => {
            const outputs = this.prepared.get(id) ?? [];
            this.kept.set(id, outputs);
            return { ok: true, value: outputs.length };
          }),
        discardOutputs: () => act(() => undefined),
        keepLogs: () => act(() => 1),
        openLog: () => act(() => undefined),
        openOutput: () => act(() => undefined),
        listOutputs: () => act(() => ({ files: [], next: null })),
        listChanges: () => act(() => ({ ok: true, value: { changes: [], next: null } })),
        notePause: () => act(() => undefined),
        pausesNoted: () => act(() => []),
        checkVolume: (source) =>
          act(() => (source === "/missing" ? `${source} does not exist on this host` : undefined)),
      },
      images: {
        unmount: () => Promise.resolve(),
        prepare: (_image, holder) =>
          act(
            () => (
              this.held.add(holder),
              {
                ok: true,
                value: {
                  layers: ["/images/busybox"],
                  defaults: NO_DEFAULTS,
                },
              }
            ),
          ),
        release: (holder) => act(() => void this.held.delete(holder)),
        holders: () => [...this.held],
        layersOf: () => ["/images/busybox"],
        excess: () => Promise.resolve(0),
        collect: () => Promise.resolve(0),
        bringing: () => [],
        held: () => act(() => []),
        heldChanges: () => 0,
        fetchRates: () => ({ registry: null, cluster: null }),
        verbs: noVerbs,
      },
    };
  }

  running(): readonly string[] {
    return [...this.containers].filter(([, container]) => container.exit === undefined).map(([id]) => id);
  }

  /** As /proc/PID/uid_map says. */
  idBaseOf(pid: number): number | undefined {
    return [...this.containers.values()].find((container) => container.pid === pid)?.spec.idBase;
  }

  /** As /proc/PID/stat says. */
  ageMsOf(pid: number): number | undefined {
    const found = [...this.containers.values()].find((container) => container.pid === pid);
    return found === undefined ? undefined : this.clock.boottimeMs() - found.startedBoottimeMs;
  }

  /** The program ends. */
  exit(id: string, code: number, more: Partial<ExitRecord> = {}): void {
    const container = this.containers.get(id);
    if (container === undefined || container.exit !== undefined) return;
    container.exit = {
      code,
      signal: null,
      oom: false,
      cause: "exited",
      error: null,
      startedAtMs: container.startedAtMs,
      finishedAtMs: this.clock.nowMs(),
      ...more,
    };
    for (const listener of container.listeners.splice(0)) listener(container.exit);
  }

  /** Everything that ran is gone; what was written stays. */
  reboot(): void {
    for (const id of this.running()) {
      this.rebooted.set(id, (this.rebooted.get(id) ?? 0) + 1);
      this.exit(id, 137, { cause: "host_rebooted" });
    }
    this.#startedInThisBoot = new Set();
  }

  #start(spec: ContainerSpec, life: { readonly alive: boolean }): StartResult {
    if (this.containers.has(spec.id)) throw new Error(`${spec.id} exists already`);
    const failure = this.startFailure?.(spec);
    if (failure !== undefined)
      return {
        ok: false,
        error: failure.error ?? { stage: "exec", errno: 2, code: "ENOENT", detail: "" },
        exit: failure,
      };
    for (const id of this.running()) {
      if (this.containers.get(id)?.spec.idBase === spec.idBase)
        this.sharedRanges.push(`${id} and ${spec.id}: ${spec.idBase}`);
    }
    this.starts.set(spec.id, (this.starts.get(spec.id) ?? 0) + 1);
    if (this.#startedInThisBoot.has(spec.id)) this.twiceInOneBoot.push(spec.id);
    this.#startedInThisBoot.add(spec.id);
    this.#pids += 1;
    this.containers.set(spec.id, {
      spec,
      pid: this.#pids,
      startedAtMs: this.clock.nowMs(),
      startedBoottimeMs: this.clock.boottimeMs(),
      exit: undefined,
      untilMs: spec.lease?.untilMs,
      paused: false,
      listeners: [],
    });
    this.#supervise(spec.id);
    return { ok: true, value: this.#handle(spec.id, life) };
  }

  /** As the supervisor does, whether there is an agent or not. */
  #supervise(id: string): void {
    const container = this.containers.get(id);
    if (container?.untilMs === undefined || container.exit !== undefined) return;
    const leftMs = container.untilMs - this.clock.boottimeMs();
    if (leftMs > 0) this.clock.after(leftMs, () => this.#supervise(id));
    else this.exit(id, 143, { cause: "lease_ended", signal: 15 });
  }

  #adopt(life: { readonly alive: boolean }): readonly AdoptedContainer[] {
    return [...this.containers].map(([id, { exit }]) =>
      exit === undefined
        ? { kind: "running", id, container: this.#handle(id, life) }
        : { kind: "ended", id, container: this.#handle(id, life), exit },
    );
  }

  #handle(id: string, life: { readonly alive: boolean }): Container {
    const found = this.containers.get(id);
    if (found === undefined) throw new Error(`no container ${id}`);
    const exited = new Promise<ExitRecord>((resolve) => {
      const settle = (exit: ExitRecord): void => {
        if (life.alive) resolve(exit);
      };
      if (found.exit === undefined) found.listeners.push(settle);
      else settle(found.exit);
    });
    return {
      id,
      pid: found.pid,
      startedAtMs: found.startedAtMs,
      logPath: `/runtime/${id}/log`,
      writablePath: `/runtime/${id}/upper`,
      get limits() {
        return found.spec.limits;
      },
      limitsInDoubt: false,
      update: async (limits) => {
        await turns(1);
        const error = this.limitsFailure?.(limits);
        if (error !== undefined) return { ok: false, error };
        found.spec = { ...found.spec, limits };
        return { ok: true, unenforced: [] };
      },
      exited,
      stop: async () => {
        await turns(1);
        if (life.alive) this.exit(id, 143, { cause: "signalled", signal: 15 });
        return await exited;
      },
      // Its programs are states of a table: there is nothing to run another one beside.
      exec: () => Promise.reject(new Error("this host runs no programs")),
      attach: () => Promise.reject(new Error("this host runs no programs")),
      pause: async () => void (await turns(1).then(() => (found.paused = true))),
      resume: async () => void (await turns(1).then(() => (found.paused = false))),
      isPaused: () => Promise.resolve(found.paused && found.exit === undefined),
      renew: async (untilMs) => {
        await turns(1);
        if (life.alive && found.untilMs !== undefined) found.untilMs = Math.max(found.untilMs, untilMs);
      },
      remove: async () => {
        await turns(1);
        if (!life.alive) return await new Promise<void>(() => undefined);
        if (found.exit === undefined) throw new Error(`${id} has not ended`);
        this.containers.delete(id);
      },
    };
  }
}
