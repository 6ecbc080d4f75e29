/** A host that runs containers: what it can do, how it is opened, what it finds again. */
import type { CgroupLayout } from "../cgroup-layout.ts";
import type { Networks } from "../network/types.ts";
import type { Knob } from "../resources/resources.ts";
import type { PressureTrigger } from "../watch.ts";
import type { Container, ContainerStats, ExitRecord } from "./container.ts";
import type { NativeError } from "./error.ts";
import type { SpecPolicy } from "./security.ts";
import type { ContainerSpec, LogLimits } from "./spec.ts";

/**
 * `started`: the program runs (it may have ended since). Otherwise nothing of the container is left, and `exit` is the
 * record that it would have had: 127, 126 or 125 with the same error.
 */
export type StartResult =
  | { readonly ok: true; readonly value: Container }
  | { readonly ok: false; readonly error: NativeError; readonly exit: ExitRecord };

/** What is found in the state directory after a restart of the agent. */
export type AdoptedContainer =
  | { readonly kind: "running"; readonly id: string; readonly container: Container }
  | { readonly kind: "ended"; readonly id: string; readonly container: Container; readonly exit: ExitRecord }
  /** Its directory exists, but no process ever did: `start` with this id is safe, and so is `remove`. */
  | { readonly kind: "never_started"; readonly id: string; remove(): Promise<void> };

export interface RuntimeFeatures {
  readonly cgroup: "v1" | "hybrid" | "v2";
  readonly controllers: readonly string[];
  /** Where the cgroups of this host are mounted. */
  readonly hierarchies: readonly {
    readonly path: string;
    readonly version: 1 | 2;
    readonly controllers: readonly string[];
  }[];
  /** Of each limit, why this host cannot enforce it, or null when it can. */
  readonly limits: Readonly<Record<Knob, string | null>>;
  /** Why `diskBytes` of a spec is not enforced, or null when it is. */
  readonly diskLimit: string | null;
  /** Sentences on what this host cannot enforce. */
  readonly missing: readonly string[];
  readonly kernel: string;
  readonly bootId: string;
}

export interface CloseOptions {
  /** Also removes the cgroup parent where it is empty. For when nothing is being started and nothing will be soon. */
  readonly removeCgroups?: boolean;
}

export interface RuntimeOptions {
  /** Absolute path; one directory per container in it. Made if it does not exist; belongs to one agent alone. */
  readonly stateDir: string;
  /** Below the root of each cgroup hierarchy, e.g. `berth`; every container's cgroup lies in it. */
  readonly cgroupParent: string;
  /** What is kept of output when the spec does not say. */
  readonly log?: LogLimits;
  /** How overlays are made: kernels before 6.15 want their layers attached to a mount namespace. Default: by kernel. */
  readonly attachLayers?: boolean;
  /** Which cgroup hierarchies to use. Default: those of this host, `readCgroupLayout()`. */
  readonly cgroupLayout?: CgroupLayout;
  /**
   * How many supervisors wait, with namespaces of their own, for a start that they make faster; 0 to 64. Default 0. Each
   * takes about 0.3 MiB of the machine, most of it the kernel's for the network namespace.
   */
  readonly standby?: number;
  /** Default: nothing beyond what is harmless everywhere. */
  readonly allow?: SpecPolicy;
}

export interface Runtime {
  /**
   * Settles once the program was executed, or could not be. Never starts an id for the second time. Rejects (ECANCELED) when
   * the runtime is closed before either is known: the container goes on, and `adopt` of the next runtime finds it.
   */
  start(spec: ContainerSpec): Promise<StartResult>;
  /** Everything in the state directory. To be called once, before the first `start`. */
  adopt(): Promise<readonly AdoptedContainer[]>;
  /** Of many containers in one cheap call; those that have ended are not among the answers. */
  stats(ids: readonly string[]): Promise<ReadonlyMap<string, ContainerStats>>;
  /** Pressure of the whole machine, until it is closed. Rejects where the kernel does not tell it. */
  watchPressure(trigger: PressureTrigger, listener: () => void): Promise<{ close(): void }>;
  features(): RuntimeFeatures;
  /** Bridges and interfaces of this host's network. */
  readonly networks: Networks;
  /** Lets go of everything; containers run on. `exited` of those that run stays open. */
  close(options?: CloseOptions): Promise<void>;
}
