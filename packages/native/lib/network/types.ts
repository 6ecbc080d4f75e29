/** Networks of containers, as the runtime sees them. Which addresses they get, and who may talk to whom, others decide. */

export interface ShapeOptions {
  /** What the container sends, in bits per second; null: as fast as it can. */
  readonly egressBitsPerSecond?: number | null;
  /** What it receives. */
  readonly ingressBitsPerSecond?: number | null;
}

/** A port of a bridge of the host, as if on one switch. A bridge has room for 1,023. */
export interface BridgeNetwork extends ShapeOptions {
  readonly kind: "bridge";
  /** Name of a bridge, see `ensureBridge`. */
  readonly bridge: string;
  /** IPv4 address with its prefix length: `10.88.0.5/16`. */
  readonly address: string;
  /** Where everything else is sent to; null: nowhere. */
  readonly gateway: string | null;
  readonly mtu?: number;
  /** Lets it reach itself through an outer address. */
  readonly hairpin?: boolean;
  /** It reaches ports that are not isolated, and the host, but no other isolated port. */
  readonly isolated?: boolean;
}

/** A link of its own with a route of the host to the one address: as many as a host can hold, and no broadcast. */
export interface RoutedNetwork extends ShapeOptions {
  readonly kind: "routed";
  /** IPv4 address, `10.88.0.5`. */
  readonly address: string;
  readonly mtu?: number;
}

export type NetworkSpec = { readonly kind: "none" } | BridgeNetwork | RoutedNetwork;

export interface BridgeOptions {
  readonly name: string;
  /** The host's own address on it, `10.88.0.1/16`: the gateway of its containers. */
  readonly address: string;
  readonly mtu?: number;
}

export interface Bridge {
  readonly name: string;
  readonly index: number;
  readonly address: string;
  readonly mtu: number;
  /** Names of the links that are its ports. */
  readonly ports: readonly string[];
}

/** Of a container's interface, as the container sees it. */
export interface InterfaceStats {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly receivedDropped: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sentDropped: number;
}

export interface Networks {
  /** Makes a bridge of Berth's own, or finds the one that it made; rejects when another owns the name or differs. */
  ensureBridge(options: BridgeOptions): Promise<Bridge>;
  /** All bridges that Berth made on this host. */
  bridges(): Promise<readonly Bridge[]>;
  /** Rejects while containers are plugged into it; does nothing when there is none. */
  removeBridge(name: string): Promise<void>;
  /** Of all given containers in one question to the kernel; those without a network are missing. */
  stats(ids: Iterable<string>): Promise<ReadonlyMap<string, InterfaceStats>>;
}
