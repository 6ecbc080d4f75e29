/** What heartbeats say: measurements that live in memory only, the newest of each host. */
import {
  decodeJson,
  decoder,
  HeartbeatSchema,
  type AllocationId,
  type ContainerUsage,
  type Heartbeat,
  type HostId,
} from "@berth/schema";
import type { ClusterState } from "../core/index.ts";

export interface LiveHosts {
  /** Takes a heartbeat. Returns why it does not count, or undefined. */
  readonly take: (host: HostId, body: string) => "unknown_host" | "invalid" | "other_session" | undefined;
  readonly of: (host: HostId) => Heartbeat | undefined;
  readonly usageOf: (host: HostId, allocation: AllocationId) => ContainerUsage | null;
  /** Hosts heard since the last call. */
  readonly fresh: () => HostId[];
  readonly forget: (host: HostId) => void;
}

const decode = decoder(HeartbeatSchema);

export const createLiveHosts = (state: ClusterState): LiveHosts => {
  // Bounded by the number of admitted hosts: nobody else's heartbeat is kept.
  const newest = new Map<HostId, Heartbeat>();
  const heard = new Set<HostId>();
  return {
    take: (host, body) => {
      const record = state.hosts.get(host);
      if (record === undefined) return "unknown_host";
      const decoded = decodeJson(decode, body, "the heartbeat");
      if (!decoded.ok) return "invalid";
      // A former self of the agent, or one that has not said hello to this cluster: it proves nothing.
      if (decoded.value.session !== record.session) return "other_session";
      newest.set(host, decoded.value);
      heard.add(host);
      return undefined;
    },
    of: (host) => newest.get(host),
    usageOf: (host, allocation) =>
      (newest.get(host)?.containers as Record<AllocationId, ContainerUsage> | undefined)?.[allocation] ?? null,
    fresh: () => {
      const hosts = [...heard];
      heard.clear();
      return hosts;
    },
    forget: (host) => {
      newest.delete(host);
      heard.delete(host);
    },
  };
};
