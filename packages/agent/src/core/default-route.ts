/**
 * Which interface leads everywhere: the default route with the least metric, of IPv4 and, where there is none, of IPv6. Reads
 * the text of /proc/net/route and /proc/net/ipv6_route, which show the network namespace of whoever reads them.
 */
const UP = 0x1;
/** The kernel has such a one of its own below all others, by lo. */
const REJECT = 0x200;

interface Route {
  readonly name: string;
  readonly metric: number;
  readonly flags: number;
}

const NOWHERE = "0".repeat(32);

const best = (routes: readonly Route[]): string | undefined =>
  routes.filter(({ flags }) => (flags & UP) !== 0 && (flags & REJECT) === 0).toSorted((a, b) => a.metric - b.metric)[0]
    ?.name;

const fieldsOf = (text: string): string[][] => text.split("\n").map((line) => line.trim().split(/\s+/));

/** Iface Destination Gateway Flags RefCnt Use Metric Mask …: the metric is decimal, the rest hexadecimal. */
const ofIpv4 = (text: string): string | undefined =>
  best(
    fieldsOf(text).flatMap(([name = "", to, , flags = "", , , metric, mask]) =>
      to === "00000000" && mask === "00000000"
        ? [{ name, metric: Number(metric), flags: Number.parseInt(flags, 16) }]
        : [],
    ),
  );

/** Destination, its prefix, source, its prefix, next hop, metric, two counters, flags, name: all hexadecimal. */
const ofIpv6 = (text: string): string | undefined =>
  best(
    fieldsOf(text).flatMap(([to, prefix, , , , metric = "", , , flags = "", name = ""]) =>
      to === NOWHERE && prefix === "00"
        ? [{ name, metric: Number.parseInt(metric, 16), flags: Number.parseInt(flags, 16) }]
        : [],
    ),
  );

export const defaultInterface = (ipv4: string, ipv6: string): string | undefined => ofIpv4(ipv4) ?? ofIpv6(ipv6);
