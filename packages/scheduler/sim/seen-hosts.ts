/** What the checker knows of hosts, by itself, for rules and daemons: what they said of themselves, and what is done there. */
import type { HostId, LogRecord, PortRange } from "@berth/schema";

export interface SeenHost {
  /** It has said what it is. */
  isKnown: boolean;
  zone: string | null;
  ports: PortRange | null;
  duty: "open" | "closed" | "emptied" | "empty";
  silent: boolean;
}

export interface SeenHosts {
  readonly hosts: ReadonlyMap<HostId, SeenHost>;
  readonly saw: (record: LogRecord) => void;
}

export const createSeenHosts = (): SeenHosts => {
  const hosts = new Map<HostId, SeenHost>();
  const saw = (record: LogRecord): void => {
    if (!("hostId" in record) || record.hostId === null) return;
    if (record.kind === "host_enrolled")
      hosts.set(record.hostId, { isKnown: false, zone: null, ports: null, duty: "open", silent: false });
    if (record.kind === "host_removed") hosts.delete(record.hostId);
    const host = hosts.get(record.hostId);
    if (host === undefined) return;
    if (record.kind === "host_registered") {
      host.isKnown = true;
      host.zone = record.inventory.labels?.["zone"] ?? null;
      host.ports = record.capacity.ports ?? null;
    }
    if (record.kind === "host_uncordoned") host.duty = "open";
    if (record.kind === "host_draining") host.duty = "emptied";
    if (record.kind === "host_cordoned")
      host.duty = host.duty === "emptied" && record.by === "drain" ? "empty" : "closed";
    if (record.kind === "host_ready") host.silent = false;
    if (record.kind === "host_disconnected" || record.kind === "host_lost") host.silent = true;
  };
  return { hosts, saw };
};
