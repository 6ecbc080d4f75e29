/**
 * What the screens subscribe to: the published cluster and the state of the connection.
 *
 * Messages may come by the hundred; the screens are told at most four times a second, at once for the first change after
 * a pause. Between two of these everything that reads the store sees the same immutable picture.
 */
import { useContext, createContext, useSyncExternalStore } from "react";
import { createFeed, type Connection, type FeedPorts } from "./feed.ts";
import { createReplica, type Cluster } from "./replica.ts";

const PUBLISH_EVERY_MS = 250;

export interface Live {
  readonly subscribe: (listener: () => void) => () => void;
  readonly cluster: () => Cluster | undefined;
  readonly connection: () => Connection;
  readonly start: () => void;
  readonly retry: () => void;
  readonly stop: () => void;
}

export const createLive = (ports: FeedPorts): Live => {
  const replica = createReplica();
  const listeners = new Set<() => void>();
  let cluster: Cluster | undefined;
  let connection: Connection = { kind: "connecting" };
  let publishedAtMs = Number.NEGATIVE_INFINITY;
  let cancel: (() => void) | undefined;

  const emit = (): void => {
    for (const listener of listeners) listener();
  };
  const publish = (): void => {
    cancel?.();
    cancel = undefined;
    publishedAtMs = ports.nowMs();
    cluster = replica.publish();
    emit();
  };
  const feed = createFeed(ports, replica, {
    change: () => {
      const waitMs = publishedAtMs + PUBLISH_EVERY_MS - ports.nowMs();
      if (waitMs <= 0) publish();
      else cancel ??= ports.after(waitMs, publish);
    },
    connection: (next) => {
      connection = next;
      emit();
    },
  });

  return {
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    cluster: () => cluster,
    connection: () => connection,
    start: feed.start,
    retry: feed.retry,
    stop: () => {
      cancel?.();
      cancel = undefined;
      feed.stop();
    },
  };
};

const LiveContext = createContext<Live | undefined>(undefined);
export const LiveProvider = LiveContext.Provider;

export const useLive = (): Live => {
  const live = useContext(LiveContext);
  if (live === undefined) throw new Error("a screen was drawn outside of LiveProvider");
  return live;
};
export const useConnection = (): Connection => {
  const live = useLive();
  return useSyncExternalStore(live.subscribe, live.connection);
};
export const useMaybeCluster = (): Cluster | undefined => {
  const live = useLive();
  return useSyncExternalStore(live.subscribe, live.cluster);
};
/** For screens, which are drawn only once there is something to draw. */
export const useCluster = (): Cluster => {
  const cluster = useMaybeCluster();
  if (cluster === undefined) throw new Error("a screen was drawn before the first snapshot");
  return cluster;
};
