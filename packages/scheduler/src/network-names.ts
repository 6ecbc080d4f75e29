/** What the addresses that a scheduler listens on mean for others: which names its certificate needs, which URLs they use. */
import { hostname, networkInterfaces } from "node:os";
import { isIP } from "node:net";

export const isWildcard = (host: string): boolean => host === "0.0.0.0" || host === "::";

export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);

export const bracket = (host: string): string => (host.includes(":") ? `[${host}]` : host);

const interfaceAddresses = () => Object.values(networkInterfaces()).flatMap((list) => list ?? []);

/** The addresses behind one that is listened on: itself, or for a wildcard every IPv4 address of this machine; loopback ones last. */
export const addressesOf = (host: string): string[] => {
  if (!isWildcard(host)) return [host];
  const all = interfaceAddresses().filter((one) => one.family === "IPv4");
  return [...all.filter((one) => !one.internal), ...all.filter((one) => one.internal)].map((one) => one.address);
};

const hostOfUrl = (url: string): string | undefined =>
  URL.canParse(url) ? new URL(url.replace(/^[a-z]+:/, "http:")).hostname.replace(/^\[|\]$/g, "") : undefined;

/** Names and addresses for a certificate: of this machine's listeners, and of what others are told instead. */
export const certificateNames = (listening: readonly string[], urls: readonly string[]): string[] => {
  const own = hostname();
  const names = [
    "localhost",
    "127.0.0.1",
    "::1",
    ...(/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(own) ? [own] : []),
    ...listening.flatMap(addressesOf),
    ...urls.flatMap((url) => hostOfUrl(url) ?? []),
  ];
  return [...new Set(names)].filter((name) => isIP(name) !== 0 || /^[A-Za-z0-9*][A-Za-z0-9.-]*$/.test(name));
};
