/** IPv4 addresses as numbers, strictly parsed: four decimal parts without leading zeros, nothing else. Pure. */

export interface Prefixed {
  readonly address: number;
  readonly prefix: number;
}

const part = /^(0|[1-9]\d{0,2})$/;

export const parseAddress = (text: string): number | undefined => {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((one) => part.test(one) && Number(one) <= 255)) return undefined;
  return parts.reduce((sum, one) => sum * 256 + Number(one), 0);
};

/** `10.0.0.1/8`; the prefix length must be there. */
export const parsePrefixed = (text: string): Prefixed | undefined => {
  const [left = "", right = "", ...more] = text.split("/");
  const address = parseAddress(left);
  const prefix = /^([1-9]|[12]\d|3[0-2])$/.test(right) ? Number(right) : undefined;
  return address === undefined || prefix === undefined || more.length > 0 ? undefined : { address, prefix };
};

export const formatAddress = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");

/** True for what can be somebody's address: not 0/8, loopback, multicast or broadcast. */
export const isUnicast = (address: number): boolean => {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
};

export const isInside = (address: number, network: Prefixed): boolean =>
  Math.floor(address / 2 ** (32 - network.prefix)) === Math.floor(network.address / 2 ** (32 - network.prefix));

/** In network byte order. */
export const addressBytes = (address: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes;
};
