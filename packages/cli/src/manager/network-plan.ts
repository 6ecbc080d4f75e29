/**
 * The network of several hosts on one machine: a bridge, and for each host a network namespace joined to it by a veth
 * pair. Names and addresses follow from the data directory alone, so that a later start finds what an earlier one left.
 * Pure: network.ts carries it out.
 */
import { createHash } from "node:crypto";

export interface NetworkPlan {
  readonly tag: string;
  readonly bridge: string;
  /** The machine's own address on the bridge: where the bus listens. */
  readonly gateway: string;
  readonly prefixLength: 24;
  readonly hosts: readonly NetworkHost[];
}

export interface NetworkHost {
  readonly id: string;
  readonly namespace: string;
  /** The end on the bridge. */
  readonly link: string;
  readonly address: string;
}

/** 198.18.0.0/15 is set aside for tests between networks (RFC 2544): nobody routes it. 512 networks of 254 addresses. */
const NETWORKS = 512;

/** Six hex digits of the data directory's path. Interface names have at most 15 characters. */
export const networkTag = (dataDir: string): string => createHash("sha256").update(dataDir).digest("hex").slice(0, 6);
export const bridgeName = (tag: string): string => `berth-${tag}`;
export const linkPrefix = (tag: string): string => `bh${tag}-`;
export const namespacePrefix = (tag: string): string => `berth-${tag}-`;

const network = (at: number): string => `198.${18 + Math.floor(at / 256)}.${at % 256}`;

/** `taken`: every address and route of the machine, as `a.b.c.d/len`. Undefined when all networks clash, which cannot be. */
export const planNetwork = (
  dataDir: string,
  hostIds: readonly string[],
  taken: readonly string[],
): NetworkPlan | undefined => {
  const tag = networkTag(dataDir);
  const first = Number.parseInt(tag, 16) % NETWORKS;
  const ranges = taken.flatMap((text) => rangeOf(text) ?? []);
  for (let step = 0; step < NETWORKS; step += 1) {
    const base = network((first + step) % NETWORKS);
    const range = rangeOf(`${base}.0/24`);
    if (range === undefined || ranges.some((one) => one.from <= range.to && range.from <= one.to)) continue;
    return {
      tag,
      bridge: bridgeName(tag),
      gateway: `${base}.1`,
      prefixLength: 24,
      hosts: hostIds.map((id, at) => ({
        id,
        namespace: `${namespacePrefix(tag)}${id}`,
        link: `${linkPrefix(tag)}${at + 1}`,
        address: `${base}.${at + 2}`,
      })),
    };
  }
  return undefined;
};

/** First and last address of `a.b.c.d/len`; undefined for what is not IPv4. A default route clashes with nothing. */
const rangeOf = (text: string): { readonly from: number; readonly to: number } | undefined => {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = match.slice(1, 5).map(Number);
  const length = match[5] === undefined ? 32 : Number(match[5]);
  if (length === 0 || length > 32) return undefined;
  const size = 2 ** (32 - length);
  const address = ((a * 256 + b) * 256 + c) * 256 + d;
  const from = Math.floor(address / size) * size;
  return { from, to: from + size - 1 };
};
