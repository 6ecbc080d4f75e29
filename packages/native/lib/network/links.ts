/** Links, addresses, ports and shapers of the host, through rtnetlink. Says what there is and does what it is told. */
import { constants } from "node:os";
import { isFailure, type Binding } from "../binding.ts";
import { nativeError, NativeFailure } from "../errors.ts";
import { addressBytes, formatAddress, type Prefixed } from "./address.ts";
import {
  decodeAttributes,
  decodeMessages,
  encodeMessages,
  NLM,
  NLMSG,
  text,
  textOf,
  u32,
  u32Of,
  u64,
  u8,
  type Attribute,
  type Reply,
  type Request,
} from "./message.ts";
import type { InterfaceStats } from "./types.ts";

const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddr: 20,
  getAddr: 22,
  newQdisc: 36,
  delQdisc: 37,
  getNsid: 90,
} as const;
const IFLA = {
  address: 1,
  ifname: 3,
  mtu: 4,
  master: 10,
  linkinfo: 18,
  ifalias: 20,
  stats64: 23,
  netnsid: 37,
} as const;
const INFO = { kind: 1, data: 2 } as const;
const BRIDGE = { forwardDelay: 1, stp: 5, multicastSnooping: 23 } as const;
const IFF_UP = 1;
const AF_INET = 2;
const LIST_ATTEMPTS = 10;
const TC_ROOT = 0xffff_ffff;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth` …; empty for hardware. */
  readonly kind: string;
  readonly alias: string;
  readonly mtu: number;
  /** Index of the bridge that it is a port of; 0: none. */
  readonly master: number;
  /** Which network namespace the other end of a pair is in. */
  readonly peerNetns: number | undefined;
  readonly stats: Buffer | undefined;
}

/** A list that changed while it was made may lack something that was always there: it is asked for again. */
const answers = async (
  binding: Binding,
  stage: string,
  about: string,
  requests: readonly Request[],
  netns: number,
): Promise<Reply[]> => {
  for (let attempt = 1; ; attempt += 1) {
    const bytes = await binding.netlink(netns, encodeMessages(requests));
    if (isFailure(bytes)) throw new NativeFailure(nativeError(stage, bytes.errno, `${about}: ${bytes.detail}`));
    const replies = decodeMessages(bytes);
    if (attempt === LIST_ATTEMPTS || replies.every((reply) => (reply.flags & NLM.interrupted) === 0)) return replies;
  }
};

/** In our own network namespace, or that of an open descriptor. */
const ask = async (
  binding: Binding,
  stage: string,
  about: string,
  requests: readonly Request[],
  netns = -1,
): Promise<Reply[]> => {
  const replies = await answers(binding, stage, about, requests, netns);
  const refused = replies.find((reply) => reply.type === NLMSG.error && reply.body.readInt32LE(0) !== 0);
  if (refused !== undefined) throw new NativeFailure(nativeError(stage, -refused.body.readInt32LE(0), about));
  return replies;
};

const linkFixed = (index: number, flags = 0): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(flags, 12);
  return bytes;
};

const parseLink = (reply: Reply): Link => {
  const attributes = decodeAttributes(reply.body, 16);
  const info = decodeAttributes(attributes.get(IFLA.linkinfo) ?? Buffer.alloc(0));
  return {
    index: reply.body.readInt32LE(4),
    name: textOf(attributes.get(IFLA.ifname)),
    kind: textOf(info.get(INFO.kind)),
    alias: textOf(attributes.get(IFLA.ifalias)),
    mtu: u32Of(attributes.get(IFLA.mtu)) ?? 0,
    master: u32Of(attributes.get(IFLA.master)) ?? 0,
    peerNetns: u32Of(attributes.get(IFLA.netnsid)),
    stats: attributes.get(IFLA.stats64),
  };
};

/** All of them, or those of one kind: the kernel filters. */
export const listLinks = async (binding: Binding, kind?: string): Promise<Link[]> => {
  const attributes: Attribute[] = kind === undefined ? [] : [[IFLA.linkinfo, [[INFO.kind, text(kind)]]]];
  const request = { type: RTM.getLink, flags: NLM.root | NLM.match, fixed: linkFixed(0), attributes };
  const replies = await ask(binding, "net.list", "links", [request]);
  return replies.filter((reply) => reply.type === RTM.newLink).map(parseLink);
};

export const findLink = async (binding: Binding, name: string): Promise<Link | undefined> => {
  const request = {
    type: RTM.getLink,
    flags: NLM.ack,
    fixed: linkFixed(0),
    attributes: [[IFLA.ifname, text(name)]] as const,
  };
  try {
    const replies = await ask(binding, "net.list", name, [request]);
    return replies.filter((reply) => reply.type === RTM.newLink).map(parseLink)[0];
  } catch (cause) {
    if (cause instanceof NativeFailure && cause.error.errno === constants.errno.ENODEV) return undefined;
    throw cause;
  }
};

export const createBridge = async (
  binding: Binding,
  bridge: { readonly name: string; readonly alias: string; readonly mtu: number; readonly mac: Buffer },
): Promise<void> => {
  await ask(binding, "net.bridge", `make bridge ${bridge.name}`, [
    {
      type: RTM.newLink,
      flags: NLM.ack | NLM.create | NLM.exclusive,
      fixed: linkFixed(0),
      attributes: [
        [IFLA.ifname, text(bridge.name)],
        [IFLA.mtu, u32(bridge.mtu)],
        /* Fixed: it would follow the smallest of its ports otherwise. */
        [IFLA.address, bridge.mac],
        [
          IFLA.linkinfo,
          [
            [INFO.kind, text("bridge")],
            [
              INFO.data,
              [
                [BRIDGE.forwardDelay, u32(0)],
                [BRIDGE.stp, u32(0)],
                [BRIDGE.multicastSnooping, u8(0)],
              ],
            ],
          ],
        ],
      ],
    },
    /* Made and owned in one send; should it end in between, the next life finds a bridge that nobody owns and says so. */
    {
      type: RTM.newLink,
      flags: NLM.ack,
      fixed: linkFixed(0),
      attributes: [
        [IFLA.ifname, text(bridge.name)],
        [IFLA.ifalias, Buffer.from(bridge.alias)],
      ],
    },
  ]);
};

export const configureBridge = async (binding: Binding, link: Link, own: Prefixed, mtu: number): Promise<void> => {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt8(AF_INET, 0);
  fixed.writeUInt8(own.prefix, 1);
  fixed.writeUInt32LE(link.index, 4);
  const broadcast =
    own.prefix >= 31 ? [] : ([[4, addressBytes((own.address | (0xffff_ffff >>> own.prefix)) >>> 0)]] as const);
  await ask(binding, "net.bridge", `configure bridge ${link.name}`, [
    { type: RTM.newLink, flags: NLM.ack, fixed: linkFixed(link.index, IFF_UP), attributes: [[IFLA.mtu, u32(mtu)]] },
    {
      type: RTM.newAddr,
      flags: NLM.ack | NLM.create | NLM.replace,
      fixed,
      attributes: [[2, addressBytes(own.address)], [1, addressBytes(own.address)], ...broadcast],
    },
  ]);
};

export const addressesOf = async (binding: Binding, index: number): Promise<string[]> => {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt8(AF_INET, 0);
  const replies = await ask(binding, "net.list", "addresses", [
    { type: RTM.getAddr, flags: NLM.root | NLM.match, fixed, attributes: [] },
  ]);
  return replies
    .filter((reply) => reply.type === RTM.newAddr && reply.body.readUInt32LE(4) === index)
    .flatMap((reply) => {
      const local = decodeAttributes(reply.body, 8).get(2);
      return local === undefined ? [] : [`${formatAddress(local.readUInt32BE(0))}/${reply.body.readUInt8(1)}`];
    });
};

export const deleteLink = async (binding: Binding, link: Link): Promise<void> => {
  await ask(binding, "net.bridge", `remove ${link.name}`, [
    { type: RTM.delLink, flags: NLM.ack, fixed: linkFixed(link.index), attributes: [] },
  ]);
};

/** Which number our namespace has for that of an open descriptor. */
export const netnsIdOf = async (binding: Binding, netns: number): Promise<number | undefined> => {
  const fixed = Buffer.alloc(4);
  const replies = await ask(binding, "net.shape", "network namespace", [
    { type: RTM.getNsid, flags: NLM.ack, fixed, attributes: [[3, u32(netns)]] },
  ]);
  const answer = replies.find((reply) => reply.type !== NLMSG.error);
  return answer === undefined ? undefined : u32Of(decodeAttributes(answer.body, 4).get(1));
};

/** The counters of the outer end: what it received, the container sent. */
export const innerStats = (stats: Buffer): InterfaceStats => {
  const at = (field: number): number => (stats.length < (field + 1) * 8 ? 0 : Number(stats.readBigUInt64LE(field * 8)));
  return {
    receivedPackets: at(1),
    sentPackets: at(0),
    receivedBytes: at(3),
    sentBytes: at(2),
    receivedDropped: at(7),
    sentDropped: at(6),
  };
};

const qdiscFixed = (index: number): Buffer => {
  const bytes = Buffer.alloc(20);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(TC_ROOT, 12);
  return bytes;
};

/** As put_tbf in src/supervisor/network.c. 0: as fast as it can. */
export const setShaper = async (binding: Binding, index: number, rate: number, netns = -1): Promise<void> => {
  if (rate === 0) {
    try {
      await ask(
        binding,
        "net.shape",
        `link ${index}`,
        [{ type: RTM.delQdisc, flags: NLM.ack, fixed: qdiscFixed(index), attributes: [] }],
        netns,
      );
    } catch (cause) {
      const none: readonly number[] = [constants.errno.ENOENT, constants.errno.EINVAL];
      if (!(cause instanceof NativeFailure && none.includes(cause.error.errno))) throw cause;
    }
    return;
  }
  const burst = Math.min(Math.max(Math.floor(rate / 500), 32_768), 4_194_304);
  const options = Buffer.alloc(36);
  /* struct tc_tbf_qopt: rate { cell_log, linklayer, overhead, cell_align, mpu, rate }, peakrate, limit, buffer, mtu */
  options.writeUInt8(1, 1);
  options.writeUInt32LE(Math.min(rate, 0xffff_ffff), 8);
  options.writeUInt32LE(Math.min(burst + Math.floor(rate / 20), 0x7fff_ffff), 24);
  const nested: Attribute[] = [
    [1, options],
    [6, u32(burst)],
  ];
  if (rate > 0xffff_ffff) nested.push([4, u64(rate)]);
  await ask(
    binding,
    "net.shape",
    `link ${index}`,
    [
      {
        type: RTM.newQdisc,
        flags: NLM.ack | NLM.create | NLM.replace,
        fixed: qdiscFixed(index),
        attributes: [
          [1, text("tbf")],
          [2, nested],
        ],
      },
    ],
    netns,
  );
};
