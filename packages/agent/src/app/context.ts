/**
 * What the parts of a running agent share: the ports, and the state that one loop changes. Everything here lives in one
 * thread; nothing else writes to `state`.
 */
import type { AllocationId, AllowedPath, DesiredDocument, HostId } from "@berth/schema";
import { NO_VERSION, type Version } from "../core/accept.ts";
import type { ExitRecord } from "../core/container.ts";
import type { Grant } from "../core/lease.ts";
import type { HostDevice } from "../core/devices.ts";
import { createReplayGuard, type ReplayGuard } from "../core/replay.ts";
import type { AllocationRecord } from "../core/record.ts";
import type { RetentionLimits } from "../core/retention.ts";
import type { IdRange } from "../core/slots.ts";
import type { Turns } from "../core/turns.ts";
import type { AllocationFiles } from "../ports/files.ts";
import type { Clock } from "../ports/clock.ts";
import type { HostProbe, Verifier } from "../ports/host.ts";
import type { Images } from "../ports/images.ts";
import type { Volumes } from "../ports/volumes.ts";
import type { KeptLayers } from "../ports/kept-layers.ts";
import type { Journal } from "../ports/journal.ts";
import type { SchedulerLine } from "../ports/line.ts";
import type { SealedSecrets } from "../ports/sealed.ts";
import type { Log } from "../ports/log.ts";
import type { Container, Runtime } from "../ports/runtime.ts";
import type { ImageOperations } from "./image-operations.ts";
import type { ExecSessions } from "./exec-sessions.ts";

/** Limits that a container does not have although its job does. */
export interface LimitsRefused {
  readonly key: string;
  readonly reason: string;
  /** How often in a row they were tried. */
  readonly attempts: number;
}

/** A container of the runtime, with what the loop has learned of it. */
export interface LiveContainer {
  readonly container: Container;
  /** When it was started, on this process's monotonic clock: may lie before the process. */
  readonly startedMonotonicMs: number;
  exit: ExitRecord | undefined;
  /** The limits that it has or was refused, as `limitsKey` says them; undefined: not compared yet. */
  limits: string | undefined;
  limitsRefused: LimitsRefused | undefined;
  /** Whether it stood still when it was looked at last. */
  paused: boolean;
}

export interface AgentState {
  document: DesiredDocument | undefined;
  /** What was accepted last; nothing older is. */
  version: Version;
  fence: number;
  /** Which requests of the scheduler were obeyed in this life of the agent. */
  readonly replay: ReplayGuard;
  /** The scheduler has answered in this life of the agent. */
  answered: boolean;
  /** And what it wants is on disk. */
  confirmed: boolean;
  /** It has not answered for long since the start. */
  cutOff: boolean;
  /** It is about to end: what is still being started is for its next life to find. */
  closing: boolean;
  /** The newest lease of singletons. */
  grant: Grant | undefined;
  /** The scheduler knows this session: it may be told and asked things. */
  greeted: boolean;
  readonly records: Map<AllocationId, AllocationRecord>;
  readonly containers: Map<AllocationId, LiveContainer>;
  /** Ended allocations whose end is not on disk yet. */
  readonly unsaved: Set<AllocationId>;
  lastSlot: number;
}

export interface Ports {
  readonly clock: Clock;
  readonly log: Log;
  readonly runtime: Runtime;
  readonly journal: Journal;
  readonly files: AllocationFiles;
  readonly images: Images;
  readonly volumes: Volumes;
  readonly kept: KeptLayers;
  readonly line: SchedulerLine;
  readonly verifier: Verifier;
  readonly probe: HostProbe;
  readonly sealed: SealedSecrets;
}

export interface Settings {
  readonly host: HostId;
  /** Made at each start: see SessionSchema. */
  readonly session: string;
  readonly bootId: string;
  readonly ids: IdRange;
  readonly retention: RetentionLimits;
  /** What of this host jobs may mount. */
  readonly hostPaths: readonly AllowedPath[];
  readonly devices: readonly HostDevice[];
  /** Dimensions that were declared: of these, only what containers use counts as used. */
  readonly declared: ReadonlySet<"cpuMillis" | "memoryBytes" | "pids">;
}

export interface AgentContext extends Ports {
  /** What users asked to be done with images. */
  readonly operations: ImageOperations;
  /** Starts of containers at a time: images are brought before. */
  readonly starts: Turns;
  readonly settings: Settings;
  readonly state: AgentState;
  /** Something may have to be done: look again. */
  readonly wake: () => void;
  readonly sessions: ExecSessions;
  /** What a heartbeat says has changed: the next one goes now. */
  readonly beat: () => void;
  /** Something is kept that was not counted yet. */
  readonly wakeKeeper: () => void;
  /** Something may have to be told. */
  readonly wakeReporter: () => void;
}

export const emptyState = (): AgentState => ({
  document: undefined,
  version: NO_VERSION,
  fence: 0,
  replay: createReplayGuard(),
  answered: false,
  confirmed: false,
  cutOff: false,
  closing: false,
  grant: undefined,
  greeted: false,
  records: new Map(),
  containers: new Map(),
  unsaved: new Set(),
  lastSlot: -1,
});
