/**
 * Bridges that belong to Berth, told by their alias, so that a restart finds them; and the interfaces of containers,
 * told by their names. Nothing is kept in memory: the kernel is asked each time.
 */
import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import type { Binding } from "../binding.ts";
import { hasCode, nativeError, NativeFailure } from "../errors.ts";
import { addressBytes, isUnicast, parsePrefixed, type Prefixed } from "./address.ts";
import { bytesPerSecond, DEFAULT_MTU, isLinkName, linkNameOf, rateMistake } from "./names.ts";
import {
  addressesOf,
  configureBridge,
  createBridge,
  deleteLink,
  findLink,
  innerStats,
  listLinks,
  netnsIdOf,
  setShaper,
  type Link,
} from "./links.ts";
import type { Bridge, BridgeOptions, InterfaceStats, Networks, ShapeOptions } from "./types.ts";

const ALIAS = "berth";

/** Of the inner end, see src/supervisor/network.c. */
const INNER_INDEX = 2;

export const openNetworks = (binding: Binding, stateDir: string): Networks => ({
  ensureBridge: (options) => ensureBridge(binding, options),
  bridges: async () => {
    const links = await listLinks(binding);
    const ours = links.filter(isOurs);
    return await Promise.all(ours.map((link) => describe(binding, link, links)));
  },
  removeBridge: async (name) => {
    const link = await findLink(binding, name);
    if (link === undefined) return;
    if (!isOurs(link)) throw foreign(name);
    const ports = (await listLinks(binding)).filter((one) => one.master === link.index);
    if (ports.length > 0) throw refused(constants.errno.EBUSY, `bridge ${name} still has ${ports.length} ports`);
    await deleteLink(binding, link);
  },
  stats: async (ids) => {
    const links = new Map((await listLinks(binding, "veth")).map((link) => [link.name, link]));
    const found = new Map<string, InterfaceStats>();
    for (const id of ids) {
      const stats = links.get(linkNameOf(stateDir, id))?.stats;
      if (stats !== undefined) found.set(id, innerStats(stats));
    }
    return found;
  },
});

const isOurs = (link: Link): boolean => link.kind === "bridge" && link.alias === ALIAS;

const ensureBridge = async (binding: Binding, options: BridgeOptions): Promise<Bridge> => {
  const mtu = options.mtu ?? DEFAULT_MTU;
  const own = parsePrefixed(options.address);
  if (!isLinkName(options.name)) throw invalid(`name: ${JSON.stringify(options.name)} is not the name of a link`);
  if (own === undefined || !isUnicast(own.address))
    throw invalid(`address: ${JSON.stringify(options.address)} is not an IPv4 address with a prefix length`);
  if (!Number.isInteger(mtu) || mtu < 576 || mtu > 65_535) throw invalid(`mtu: ${mtu} is not in 576..65535`);
  if ((await findLink(binding, options.name)) === undefined) await make(binding, options.name, own, mtu);
  const link = await findLink(binding, options.name);
  if (link === undefined) throw refused(constants.errno.ENODEV, `bridge ${options.name} has just been removed`);
  if (!isOurs(link)) throw foreign(options.name);
  const others = (await addressesOf(binding, link.index)).filter((address) => address !== options.address);
  if (others.length > 0)
    throw refused(
      constants.errno.EEXIST,
      `bridge ${options.name} has the address ${others.join(", ")}, not ${options.address}`,
    );
  await configureBridge(binding, link, own, mtu);
  return await describe(binding, { ...link, mtu }, await listLinks(binding));
};

/** Two agents may try at once: the second finds it made. */
const make = async (binding: Binding, name: string, own: Prefixed, mtu: number): Promise<void> => {
  const mac = Buffer.concat([Buffer.from([0x0a, 0xbe]), addressBytes(own.address)]);
  try {
    await createBridge(binding, { name, alias: ALIAS, mtu, mac });
  } catch (cause) {
    if (!(cause instanceof NativeFailure && cause.error.errno === constants.errno.EEXIST)) throw cause;
  }
};

const describe = async (binding: Binding, link: Link, all: readonly Link[]): Promise<Bridge> => ({
  name: link.name,
  index: link.index,
  address: (await addressesOf(binding, link.index))[0] ?? "",
  mtu: link.mtu,
  ports: all.filter((one) => one.master === link.index).map((one) => one.name),
});

/**
 * Changes the rates of a running container; a direction that is not named stays. `initPid` may be stale: the namespace
 * behind it must be the one that the other end of this container's pair is in.
 */
export const shape = async (
  binding: Binding,
  linkName: string,
  initPid: number,
  options: ShapeOptions,
): Promise<void> => {
  const wrong =
    rateMistake("egressBitsPerSecond", options.egressBitsPerSecond) ??
    rateMistake("ingressBitsPerSecond", options.ingressBitsPerSecond);
  if (wrong !== undefined) throw invalid(wrong);
  const link = await findLink(binding, linkName);
  if (link === undefined) throw refused(constants.errno.ENODEV, "the container has no network to shape");
  if (options.ingressBitsPerSecond !== undefined)
    await setShaper(binding, link.index, bytesPerSecond(options.ingressBitsPerSecond));
  if (options.egressBitsPerSecond === undefined) return;
  const netns = openNetns(initPid);
  try {
    if (link.peerNetns === undefined || (await netnsIdOf(binding, netns)) !== link.peerNetns)
      throw refused(constants.errno.ESRCH, "the container has just ended");
    await setShaper(binding, INNER_INDEX, bytesPerSecond(options.egressBitsPerSecond), netns);
  } finally {
    closeSync(netns);
  }
};

const openNetns = (pid: number): number => {
  try {
    return openSync(`/proc/${pid}/ns/net`, "r");
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ESRCH")) throw refused(constants.errno.ESRCH, "the container has ended");
    throw cause;
  }
};

const refused = (errno: number, detail: string): NativeFailure => new NativeFailure(nativeError("net", errno, detail));
const invalid = (detail: string): NativeFailure => refused(constants.errno.EINVAL, detail);
const foreign = (name: string): NativeFailure =>
  refused(constants.errno.EEXIST, `${name} exists and is no bridge of Berth; choose another name or remove it`);
