/** The network of a spec: none, a port of a bridge, or a routed link of its own. */
import { isInside, isUnicast, parseAddress, parsePrefixed, type Prefixed } from "../network/address.ts";
import { bytesPerSecond, DEFAULT_MTU, LEAST_BITS, linkNameOf, MOST_BITS } from "../network/names.ts";
import type { ContainerSpec } from "../types.ts";
import { NOTHING, u64, type Ref, type SpecBytes } from "./bytes.ts";
import { fields, flag, matching, oneOf, optional, refuse, shown, string, whole, type Parse } from "./check.ts";

const BRIDGE = 1;
const ROUTED = 2;
const HAIRPIN = 1;
const ISOLATED = 2;

const SHAPED = ["egressBitsPerSecond", "ingressBitsPerSecond"] as const;
const BRIDGE_KEYS = ["kind", "bridge", "address", "gateway", "mtu", "hairpin", "isolated", ...SHAPED] as const;
const ROUTED_KEYS = ["kind", "address", "mtu", ...SHAPED] as const;

const kindOf = oneOf(["none", "bridge", "routed"] as const);
const linkName = matching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/, "the name of a link");
const mtuOf = (value: unknown): number => optional("network.mtu", value, whole(576, 65_535), DEFAULT_MTU);
const rateOf = (field: string, value: unknown): number =>
  value === null || value === undefined ? 0 : bytesPerSecond(whole(LEAST_BITS, MOST_BITS)(field, value));

const prefixed: Parse<Prefixed> = (field, value) => {
  const parsed = parsePrefixed(string(field, value));
  return parsed !== undefined && isUnicast(parsed.address)
    ? parsed
    : refuse(field, `${shown(value)} is not an IPv4 address with a prefix length`);
};
const single: Parse<Prefixed> = (field, value) => {
  const address = parseAddress(string(field, value));
  return address !== undefined && isUnicast(address)
    ? { address, prefix: 32 }
    : refuse(field, `${shown(value)} is not an IPv4 address`);
};
const gatewayOf = (value: unknown, own: Prefixed): number => {
  if (value === null) return 0;
  const gateway = parseAddress(string("network.gateway", value));
  return gateway !== undefined && isInside(gateway, own) && gateway !== own.address
    ? gateway
    : refuse("network.gateway", `${shown(value)} is not another address of the container's own network`);
};

export const encodeNetwork = (spec: ContainerSpec, stateDir: string, out: SpecBytes): Ref => {
  if (spec.network === undefined) return NOTHING;
  const given = fields("network", spec.network, BRIDGE_KEYS);
  const kind = kindOf("network.kind", given.kind);
  if (kind === "none") {
    fields("network", spec.network, ["kind"]);
    return NOTHING;
  }
  const bridged = kind === "bridge";
  if (!bridged) fields("network", spec.network, ROUTED_KEYS);
  const own = (bridged ? prefixed : single)("network.address", given.address);
  const flags =
    (optional("network.hairpin", given.hairpin, flag, false) ? HAIRPIN : 0) |
    (optional("network.isolated", given.isolated, flag, false) ? ISOLATED : 0);
  if (spec.namespaces?.net !== undefined) refuse("network", "a joined network namespace has its own");
  return out.section([
    out.text(linkNameOf(stateDir, spec.id)),
    out.text(bridged ? linkName("network.bridge", given.bridge) : ""),
    u64(rateOf("network.egressBitsPerSecond", given.egressBitsPerSecond)),
    u64(rateOf("network.ingressBitsPerSecond", given.ingressBitsPerSecond)),
    bridged ? BRIDGE : ROUTED,
    flags,
    own.address,
    own.prefix,
    bridged ? gatewayOf(given.gateway, own) : 0,
    mtuOf(given.mtu),
  ]);
};
