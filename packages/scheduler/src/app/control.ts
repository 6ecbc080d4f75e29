/** One process's control plane: the engine, what reads its folds (documents, feed, polls), what feeds it (agents, users). */
import { ok, type HostId } from "@berth/schema";
import type { Logger } from "pino";
import { decideReady, decideSilence, manifestOf, nextSilenceMs } from "../core/index.ts";
import type { Admission } from "../ports/admission.ts";
import type { AgentLine, DesiredStore, LeaderLine, Line, PeerLine } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log, LogEnd } from "../ports/log.ts";
import type { Signer } from "../ports/signer.ts";
import type { Vault } from "../ports/vault.ts";
import type { SnapshotStore } from "../ports/snapshots.ts";
import { StartupProblem } from "../ports/startup-problem.ts";
import { createAccessCheck, type AccessCheck } from "./access.ts";
import { createAgentFiles, type AgentFiles } from "./agent-files.ts";
import { createAgentImages, type AgentImages } from "./agent-images.ts";
import { createAgentLayers, type AgentLayers } from "./agent-layers.ts";
import { createAskAgent, createIntroduce, createSignRpc } from "./agent-rpc.ts";
import { createAgentService } from "./agent-service.ts";
import { createApi, type Api } from "./api.ts";
import type { Counters } from "./counters.ts";
import { createDocuments, type Documents } from "./documents.ts";
import { createEngine, type Engine } from "./engine.ts";
import { createEventFeed, EVENT_LIMITS, type EventFeed } from "./event-feed.ts";
import { createEvaluator } from "./evaluator.ts";
import { createExecSessions, type ExecSessions } from "./exec-sessions.ts";
import { createFileStreams, type FileStreams } from "./file-stream.ts";
import { createHeldImages } from "./held-images.ts";
import { createImageSources } from "./image-sources.ts";
import { createForwarding } from "./forward.ts";
import { createFreshness, type Freshness } from "./freshness.ts";
import { createLastUsed, type LastUses } from "./last-used.ts";
import { createLiveHosts } from "./live-hosts.ts";
import { createLiveness } from "./liveness.ts";
import { pause } from "./pause.ts";
import { encodeSnapshot, type SnapshotSecrets } from "./snapshot-format.ts";
import { createSnapshots, type SnapshotFilesPort, type SnapshotLimits, type Snapshots } from "./snapshots.ts";
import { createViews } from "./views.ts";
import { createVolumeArchives, type VolumeArchives } from "./volume-archives.ts";
import { createVolumes } from "./volumes.ts";
import { createWaits } from "./waits.ts";
import { createWatchHub, WATCH_LIMITS, type WatchHub } from "./watch-hub.ts";

export interface ControlOptions {
  readonly instance: string;
  readonly cluster: string;
  readonly log: Log;
  readonly line: Line;
  readonly leaders: LeaderLine;
  readonly peers: PeerLine;
  readonly agents: AgentLine;
  readonly desired: DesiredStore;
  readonly admission: Admission;
  readonly signer: Signer;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Silent for longer, a host gets nothing new. */
  readonly disconnectedAfterMs: number;
  /** Silent for longer, its tasks are placed elsewhere. */
  readonly lostAfterMs: number;
  readonly snapshots: SnapshotStore;
  readonly snapshotFiles: SnapshotFilesPort;
  readonly snapshotLimits: SnapshotLimits;
  /** Why nothing new can be taken now: a disk without room. */
  readonly complaint: () => string | undefined;
  readonly secrets: () => Promise<SnapshotSecrets>;
  readonly lastUses: { readonly known: LastUses; readonly write: (uses: LastUses) => Promise<void> };
  readonly checkEnd: (end: LogEnd) => void;
  /** Keeps how far the log went; called now and then, and at the end. */
  readonly remember: (end: LogEnd) => Promise<void>;
}

export interface Control {
  readonly api: Api;
  readonly snapshots: Snapshots;
  readonly engine: Engine;
  readonly documents: Documents;
  readonly files: AgentFiles;
  readonly streams: FileStreams;
  readonly images: AgentImages;
  readonly layers: AgentLayers;
  readonly archives: VolumeArchives;
  readonly sessions: ExecSessions;
  readonly hub: WatchHub;
  readonly events: EventFeed;
  readonly access: AccessCheck;
  readonly freshness: Freshness;
  /** A snapshot of this moment with the cluster's secrets; undefined before the log has been read. */
  readonly backup: () => Promise<{ readonly revision: number; readonly chunks: readonly Uint8Array[] } | undefined>;
  /** Everything that must be true before this instance serves well. */
  readonly checks: () => Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>>;
  /** Resolves when this instance has read the log to its end: it leads, or follows who does. */
  readonly serving: Promise<void>;
  /** Answers everybody who waits: before the API is closed. */
  readonly letGo: () => void;
  /** Runs until `signal` aborts; rejects for reasons that must end the process. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

const TICK_MS = 1_000;
const ROUND_TRIP_MS = 2_000;
const SETTLE_MS = 10_000;

export const createControl = (options: ControlOptions): Control => {
  const { clock, line, logger, counters, leaseMs } = options;
  const held = createHeldImages();
  const evaluator = createEvaluator({ clock, logger, counters, images: held, nudge: () => engine.nudge() });
  const waits = createWaits(clock);
  const engine: Engine = createEngine({
    ...options,
    background: evaluator,
    checkState: ({ clusterKey }) => {
      if (clusterKey === null || clusterKey === options.signer.publicKey) return;
      throw new StartupProblem(
        "cluster.key of this scheduler's data directory is not the key of this cluster; copy cluster.key and admin.token from another instance of it",
      );
    },
    claimRecords: ({ clusterKey }) =>
      clusterKey === null ? [{ kind: "cluster_keyed", publicKey: options.signer.publicKey }] : [],
    restore: async (end) => {
      await snapshots.restore(end);
      waits.restored(engine.state.revision);
    },
  });
  const { state } = engine;
  const snapshots: Snapshots = createSnapshots({
    ...options,
    state,
    store: options.snapshots,
    files: options.snapshotFiles,
    limits: options.snapshotLimits,
    end: engine.end,
    isReady: engine.isCertain,
    isLeading: () => engine.role() === "leading",
    isAlone: leaseMs === 0,
  });
  const liveness = createLiveness({ tickMs: TICK_MS });
  const live = createLiveHosts(state);
  const views = createViews({
    ...{ state, live, liveness, clock },
    cluster: options.cluster,
    isSettled: engine.isSettled,
  });
  const isLeading = (): boolean => engine.role() === "leading";
  const isUp = (): boolean => line.isUp() && options.desired.line.isUp();
  const documents = createDocuments({
    state,
    store: options.desired,
    signer: options.signer,
    vault: options.vault,
    clock,
    logger,
    mayWrite: () => isLeading() && isUp(),
    failed: counters.documentFailed,
  });
  const hub = createWatchHub({ views, clock, limits: WATCH_LIMITS, dropped: counters.watcherDropped });
  const events = createEventFeed({ state, log: options.log, clock, limits: EVENT_LIMITS });
  const lastUsed = createLastUsed({ ...options.lastUses, clock });
  const isToken = (id: string): boolean => state.access.some((one) => one.id === id);
  const keepUses = (now?: "now"): Promise<void> =>
    lastUsed.keep(isToken, now).catch((error: unknown) => logger.warn({ err: error }, "last_uses_not_written"));
  const access = createAccessCheck({ state, clock, lastUsed });
  const signRpc = createSignRpc(state, options.signer, clock);
  const askAgent = createAskAgent(state, options.agents, signRpc);
  const files = createAgentFiles(state, askAgent);
  const sessions = createExecSessions(state, options.agents, askAgent, clock);
  const images = createAgentImages({ state, askAgent, randomBytes: clock.randomBytes });
  const introduce = createIntroduce(state, options.agents, signRpc);
  const sources = createImageSources(images, introduce, (image) => manifestOf(state, image));
  const heard = (host: HostId): void => liveness.heard(host, clock.monotonicMs());

  let onServing = (): void => {};
  const serving = new Promise<void>((resolve) => {
    onServing = resolve;
  });

  const remember = async (): Promise<void> => {
    const end = engine.end();
    if (end === undefined) return;
    await options.remember(end).catch((error: unknown) => logger.error({ err: error }, "log_state_not_written"));
  };

  /** Not before the whole log is known: until then those are admitted who were before. */
  const admit = (): void => {
    if (engine.role() === "starting") return;
    options.admission
      .admit([...state.hosts.values()])
      .catch((error: unknown) => logger.error({ err: error }, "admission_failed"));
  };

  engine.onFold((changes, sequence, transaction) => {
    waits.folded(changes, sequence);
    hub.folded(changes);
    events.folded(sequence, transaction);
    access.folded(transaction);
    if (isLeading()) documents.changed(changes.documents);
    for (const host of changes.removed.hosts) for (const one of [live, held, liveness]) one.forget(host);
    if (changes.removed.hosts.size > 0 || changes.hosts.some((host) => state.hosts.get(host)?.state === "enrolled"))
      admit();
  });

  engine.onRole((role) => {
    liveness.restart(clock.monotonicMs());
    if (role === "stopped") return;
    hub.start();
    events.start();
    admit();
    // Known to this machine before anybody relies on it.
    void remember().then(onServing);
    if (role !== "leading") return;
    void documents.reconcile().then(() => documents.changed([]));
  });

  line.onChange(() => {
    liveness.restart(clock.monotonicMs());
    documents.changed([]);
  });
  options.desired.line.onChange(() => documents.changed([]));

  options.agents.onRequest(createAgentService({ ...options, engine, documents, sources, held, heard }));

  const comingBack = new Set<HostId>();
  options.agents.onHeartbeat((host, body) => {
    const refused = live.take(host, body);
    counters.heartbeat(refused ?? "taken");
    if (refused !== undefined) return;
    heard(host);
    const reached = state.hosts.get(host)?.state;
    if ((reached !== "lost" && reached !== "disconnected") || !isLeading() || comingBack.has(host)) return;
    comingBack.add(host);
    void engine
      .submit({
        cause: `heartbeat of ${host}`,
        splittable: false,
        decide: (now) => ok({ records: decideReady(now, host), value: undefined }),
      })
      .finally(() => comingBack.delete(host));
  });

  const silentHosts = (): ReturnType<typeof liveness.judge> => {
    const waiting = [...state.hosts.keys()].flatMap((id) => {
      const afterMs = nextSilenceMs(state, id, options);
      return afterMs === undefined ? [] : [[id, afterMs] as const];
    });
    return liveness.judge(waiting, clock.monotonicMs());
  };

  const judge = async (): Promise<void> => {
    if (!isLeading() || !line.isUp()) return liveness.restart(clock.monotonicMs());
    if (silentHosts().length === 0) return;
    // Before anybody is given up: is it us? After the answer, whatever was on its way to us has arrived.
    try {
      await line.roundTrip(ROUND_TRIP_MS);
    } catch {
      return liveness.restart(clock.monotonicMs());
    }
    await Promise.all(
      silentHosts().map(({ host, silentMs }) => {
        logger.warn({ host, silentMs }, "host_silent");
        const sinceMs = liveness.lastHeardMs(host);
        return engine.submit({
          cause: `silence of ${host}`,
          splittable: false,
          decide: (now) =>
            ok({
              records: liveness.lastHeardMs(host) === sinceMs ? decideSilence(now, host, silentMs, options) : [],
              value: undefined,
            }),
        });
      }),
    );
  };

  const tick = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await pause(clock, TICK_MS, signal);
      if (signal.aborted) return;
      await judge();
      tickVolumes();
      await remember();
      await keepUses();
      void snapshots.tick();
    }
  };

  const wait = (ms: number): Promise<void> => pause(clock, ms, new AbortController().signal);
  const volumes = createVolumes({ engine, askAgent, pause: wait });
  const tickVolumes = (): void => {
    if (!isLeading()) return;
    volumes.tick(clock.monotonicMs()).catch((error: unknown) => logger.error({ err: error }, "volume_removal_failed"));
  };

  const archives = createVolumeArchives({ state, images, askAgent, follow: volumes.follow, pause: wait });

  const local = createApi({
    ...{ engine, images: held },
    volumes,
    views,
    waits,
    admission: options.admission,
    cluster: options.cluster,
    clusterKey: options.signer.publicKey,
    complaint: options.complaint,
    clock,
    vault: options.vault,
    lastUsed,
  });

  return {
    // Alone, there is nobody to pass anything on to.
    api: leaseMs === 0 ? local : createForwarding({ engine, peers: options.peers, clock, local }),
    engine,
    snapshots,
    documents,
    files,
    streams: createFileStreams(state, files),
    images: {
      ...images,
      order: (order) => {
        sources.forget();
        return images.order(order);
      },
      commit: (...args) => {
        sources.forget();
        return images.commit(...args);
      },
      snapshot: (...args) => {
        sources.forget();
        return images.snapshot(...args);
      },
    },
    layers: createAgentLayers(state, askAgent),
    archives,
    sessions,
    hub,
    events,
    access,
    freshness: createFreshness({ ...options, isUp: line.isUp, revision: () => state.revision, isAlone: leaseMs === 0 }),
    serving,
    letGo: () => {
      hub.close();
      events.close();
      waits.close();
      sessions.close();
    },
    backup: async () => {
      const secrets = await options.secrets();
      const end = engine.end();
      if (end === undefined) return undefined;
      const { cluster } = options;
      const { revision } = state;
      const chunks = encodeSnapshot(state, { cluster, incarnation: end.incarnation, nowMs: clock.nowMs(), secrets });
      return { revision, chunks };
    },
    checks: () => ({
      disk: { ok: options.complaint() === undefined, detail: options.complaint() ?? "has room" },
      bus: { ok: isUp(), detail: isUp() ? "connected" : "not connected" },
      log: { ok: state.revision > 0, detail: `folded up to ${state.revision}` },
      leader: { ok: isLeading() || engine.othersLead(), detail: `${engine.role()}, epoch ${state.epoch}` },
      documents: documents.check(),
    }),
    run: async (signal) => {
      // One of the loops failing ends the others too.
      const ending = new AbortController();
      const end = (): void => ending.abort();
      signal.addEventListener("abort", end, { once: true });
      const loops = [engine.run(ending.signal), documents.run(ending.signal), tick(ending.signal)];
      try {
        await Promise.all(loops.map((loop) => loop.finally(end)));
      } finally {
        // What waits for a bus that does not answer must not keep this process from its end.
        const settled = new AbortController();
        await Promise.race([
          Promise.allSettled(loops).finally(() => settled.abort()),
          pause(clock, SETTLE_MS, settled.signal),
        ]);
        signal.removeEventListener("abort", end);
        hub.close();
        events.close();
        waits.close();
        await remember();
        await keepUses("now");
      }
    },
  };
};
