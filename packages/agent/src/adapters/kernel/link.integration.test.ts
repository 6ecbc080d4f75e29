// The real kernel: links of several kinds in network namespaces of their own, and the sysfs that a process there sees.
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";

const tag = `berth-link-${process.pid}`;
const [one, two] = [`${tag}-1`, `${tag}-2`];
const ip = (...args: string[]): void => void execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
const inOne = (...args: string[]): void => ip("-netns", one, ...args);

const dropAll = (): void => {
  for (const name of [one, two]) {
    try {
      execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" });
    } catch {
      // It was not made.
    }
  }
};
beforeEach(() => {
  for (const name of [one, two]) ip("netns", "add", name);
});
afterEach(dropAll);

const program = `import(${JSON.stringify(new URL("link.ts", import.meta.url).href)})
  .then(({ linkBandwidth }) => console.log(JSON.stringify(linkBandwidth())))`;
/** `ip netns exec` mounts the sysfs of the namespace. */
const seenIn = (netns: string, ...before: string[]): unknown =>
  JSON.parse(
    execFileSync(
      "ip",
      ["netns", "exec", netns, ...before, process.execPath, "--conditions=source", "--import", "tsx", "-e", program],
      { encoding: "utf8" },
    ),
  );

/** veth says 10 Gbit/s of itself (drivers/net/veth.c). */
const TEN_GIGABIT = { netIngressBits: 10_000_000_000, netEgressBits: 10_000_000_000 };

const pair = (netns: string, name: string): void => {
  ip("-netns", netns, "link", "add", name, "type", "veth", "peer", "name", `${name}-peer`);
  ip("-netns", netns, "link", "set", `${name}-peer`, "up");
};
const route = (netns: string, dev: string): void => {
  ip("-netns", netns, "address", "add", "192.0.2.2/24", "dev", dev);
  ip("-netns", netns, "link", "set", dev, "up");
  ip("-netns", netns, "route", "add", "default", "via", "192.0.2.1", "dev", dev);
};

test("the link of the default route tells its speed, and nothing is said without such a route", () => {
  pair(one, "eth7");
  inOne("address", "add", "198.51.100.2/24", "dev", "eth7");
  inOne("link", "set", "eth7", "up");
  expect(seenIn(one)).toEqual({});
  inOne("route", "add", "default", "via", "198.51.100.1");
  expect(seenIn(one)).toEqual(TEN_GIGABIT);
});

test("so does one of IPv6 alone", () => {
  pair(one, "eth7");
  inOne("address", "add", "fd00:7::2/64", "dev", "eth7", "nodad");
  inOne("link", "set", "eth7", "up");
  inOne("-6", "route", "add", "default", "via", "fd00:7::1", "dev", "eth7");
  expect(seenIn(one)).toEqual(TEN_GIGABIT);
});

test("a bridge tells the speed of its ports, and without any nothing", () => {
  pair(one, "eth7");
  inOne("link", "add", "br7", "type", "bridge");
  inOne("link", "set", "eth7", "master", "br7", "up");
  route(one, "br7");
  expect(seenIn(one)).toEqual(TEN_GIGABIT);
  ip("-netns", two, "link", "add", "br7", "type", "bridge");
  route(two, "br7");
  expect(seenIn(two)).toEqual({});
});

test("the sysfs of another network namespace is not believed, whatever its links are called", () => {
  for (const netns of [one, two]) {
    pair(netns, "eth7");
    route(netns, "eth7");
    expect(seenIn(netns)).toEqual(TEN_GIGABIT);
  }
  expect(seenIn(one, "nsenter", `--net=/run/netns/${two}`, "--")).toEqual({});
});
