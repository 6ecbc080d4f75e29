/**
 * Containers with a network stack of their own: bridged and routed, shaped while they run, counted, and gone with
 * nothing left. What flows is measured by the kernel's counters; nothing here depends on how fast this machine is.
 */
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type Container, type NetworkSpec } from "../lib/index.ts";
import { linkNameOf } from "../lib/network/names.ts";
import { eventually, outputOf, slow, testHost } from "./host.ts";

const host = testHost();
const run = process.pid % 250;
const bridge = `bt${process.pid}`;
const subnet = `10.${200 + (run % 50)}.${run}`;
let last = 1;
const nextAddress = (): string => `${subnet}.${(last += 1)}`;

const links = (): string[] =>
  execFileSync("ip", ["-o", "link"], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.split(": ")[1]?.split("@")[0] ?? "");
const bridged = (address: string, more: object = {}): NetworkSpec => ({
  kind: "bridge",
  bridge,
  address: `${address}/24`,
  gateway: `${subnet}.1`,
  ...more,
});
const end = async (...containers: readonly Container[]): Promise<void> => {
  for (const container of containers) {
    await container.stop({ signal: 9, graceMs: 10_000 });
    await container.remove();
  }
};
/** An endless server that answers each connection with `text`. */
const server = (text: string): string[] => ["sh", "-c", `while true; do echo ${text} | nc -l -p 7000; done`];
const fetchOnce = (address: string): string =>
  `i=0; until nc -w 2 ${address} 7000 </dev/null | grep . || [ $i -gt 40 ]; do i=$((i+1)); sleep 0.1; done`;

/** On the host's own address, as containers see it. */
const listener = createServer((socket) => socket.end("the-host\n"));

beforeAll(async () => {
  await host.runtime.networks.ensureBridge({ name: bridge, address: `${subnet}.1/24` });
  await new Promise<void>((resolve) => listener.listen(7000, `${subnet}.1`, resolve));
});
afterAll(() => {
  listener.close();
  execFileSync("sh", ["-c", `ip link del ${bridge} 2>/dev/null || true`]);
});

describe("a bridge", () => {
  test("is found again, by another runtime too, and keeps its address", async () => {
    const again = await host.runtime.networks.ensureBridge({ name: bridge, address: `${subnet}.1/24` });
    expect(again).toMatchObject({ name: bridge, address: `${subnet}.1/24`, mtu: 1500 });
    const other = await openRuntime({ stateDir: `${host.directory}/other`, cgroupParent: host.cgroupParent });
    const found = (await other.networks.bridges()).find((one) => one.name === bridge);
    await other.close();
    expect(found).toEqual(again);
  });

  test("of somebody else is not taken, and another address is refused", async () => {
    const name = `bx${process.pid}`;
    execFileSync("ip", ["link", "add", name, "type", "bridge"]);
    try {
      await expect(host.runtime.networks.ensureBridge({ name, address: "10.9.9.1/24" })).rejects.toThrow(
        /no bridge of Berth/,
      );
      await expect(host.runtime.networks.removeBridge(name)).rejects.toThrow(/no bridge of Berth/);
      await expect(host.runtime.networks.ensureBridge({ name: bridge, address: "10.9.9.1/24" })).rejects.toThrow(
        /has the address/,
      );
      expect((await host.runtime.networks.bridges()).map((one) => one.name)).not.toContain(name);
    } finally {
      execFileSync("ip", ["link", "del", name]);
    }
  });

  test("with ports stays; without them it goes", async () => {
    const name = `by${process.pid}`;
    await host.runtime.networks.ensureBridge({ name, address: `10.254.${run}.1/24` });
    const container = await host.start(["sleep", "1000"], {
      network: { kind: "bridge", bridge: name, address: `10.254.${run}.2/24`, gateway: null },
    });
    await expect(host.runtime.networks.removeBridge(name)).rejects.toThrow(/1 ports/);
    await end(container);
    await eventually(async () =>
      (await host.runtime.networks.bridges()).every((one) => one.name !== name || one.ports.length === 0),
    );
    await host.runtime.networks.removeBridge(name);
    await host.runtime.networks.removeBridge(name);
    expect(links()).not.toContain(name);
  });
});

describe("inside", () => {
  test("there are lo and eth0 with address, MAC and default route, and nothing of the host", async () => {
    const address = nextAddress();
    const { stdout } = await host.sh("ip -o addr; ip link show eth0; ip route", {
      network: bridged(address, { mtu: 1400 }),
    });
    expect(stdout).toContain(`inet ${address}/24 brd ${subnet}.255`);
    expect(stdout).toContain("inet 127.0.0.1/8");
    expect(stdout).toMatch(/eth0.*UP.* mtu 1400/);
    expect(stdout).toContain(`default via ${subnet}.1 dev eth0`);
    const mac = ["0a", "be", ...address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"))].join(":");
    expect(stdout).toContain(mac);
    expect(new Set([...stdout.matchAll(/^\d+: (\w+)/gm)].map((match) => match[1]))).toEqual(new Set(["lo", "eth0"]));
  });

  test("without a network there is lo alone", async () => {
    const { stdout } = await host.sh("ls /sys/class/net; ip -o addr", { network: { kind: "none" } });
    expect(stdout.split("\n")[0]).toBe("lo");
    expect(stdout).toContain("inet 127.0.0.1/8");
  });

  test("settings of the network find its interface there", async () => {
    const { stdout } = await host.sh(
      "cat /proc/sys/net/ipv4/conf/eth0/rp_filter /proc/sys/net/ipv4/conf/eth0/forwarding",
      {
        network: bridged(nextAddress()),
        sysctls: { "net.ipv4.conf.eth0.rp_filter": "2", "net.ipv4.conf.eth0.forwarding": "1" },
      },
    );
    expect(stdout).toBe("2\n1\n");
  });

  test("ping needs no raw socket", async () => {
    const { stdout } = await host.sh("cat /proc/sys/net/ipv4/ping_group_range", { network: bridged(nextAddress()) });
    expect(stdout).toBe("0\t65535\n");
  });

  test("the program cannot change it", async () => {
    const { stdout } = await host.sh(
      "ip addr add 10.1.1.1/8 dev eth0 || echo no-address; ip link set eth0 down || echo no-link; ip route del default || echo no-route",
      { network: bridged(nextAddress()) },
    );
    expect(stdout).toBe("no-address\nno-link\nno-route\n");
  });
});

describe("two containers", () => {
  test("talk over the bridge, and to the host", async () => {
    const [a, b] = [nextAddress(), nextAddress()];
    const one = await host.start(server("hello-from-one"), { network: bridged(a) });
    const { stdout } = await host.sh(`${fetchOnce(a)}; ${fetchOnce(`${subnet}.1`)}`, {
      network: bridged(b),
    });
    expect(stdout).toBe("hello-from-one\nthe-host\n");
    await end(one);
  });

  test("that are isolated reach the host but not each other", async () => {
    const [a, b] = [nextAddress(), nextAddress()];
    const one = await host.start(server("hello"), { network: bridged(a, { isolated: true }) });
    const { stdout } = await host.sh(`${fetchOnce(`${subnet}.1`)}; nc -w 1 ${a} 7000 </dev/null || echo alone`, {
      network: bridged(b, { isolated: true }),
    });
    expect(stdout).toBe("the-host\nalone\n");
    /* It was there to be reached. */
    const { stdout: seen } = await host.sh(fetchOnce(a), { network: bridged(nextAddress()) });
    expect(seen).toBe("hello\n");
    await end(one);
  });

  test("that are routed talk through the host, with one address each and no bridge", async () => {
    const [a, b] = [`10.253.${run}.1`, `10.253.${run}.2`];
    const one = await host.start(server("hello-routed"), { network: { kind: "routed", address: a } });
    const { stdout } = await host.sh(`${fetchOnce(a)}; ip route; ip -o addr show eth0`, {
      network: { kind: "routed", address: b },
    });
    expect(stdout).toContain("hello-routed\n");
    expect(stdout).toContain("default via 169.254.1.1 dev eth0");
    expect(stdout).toContain(`inet ${b}/32`);
    /* Debian's ip copies a name onto itself, which a preloaded sanitizer would end it for. */
    const { LD_PRELOAD: _, ...env } = process.env;
    const route = execFileSync("ip", ["route", "get", a], { encoding: "utf8", env });
    expect(route).toMatch(/dev be[0-9a-f]{13}/);
    await end(one);
  });
});

describe("counters and shaping", () => {
  const rates = (): string => execFileSync("tc", ["qdisc", "show"], { encoding: "utf8" });
  const inside = (container: Container): string =>
    execFileSync("nsenter", ["-t", String(container.pid), "-n", "tc", "qdisc", "show", "dev", "eth0"], {
      encoding: "utf8",
    });

  test("what one sends is what the other receives", async () => {
    const [a, b] = [nextAddress(), nextAddress()];
    const sink = await host.start(["sh", "-c", "sleep 1000 | nc -l -p 7001 | wc -c; sleep 1000"], {
      network: bridged(a),
    });
    const source = await host.start(
      [
        "sh",
        "-c",
        `until dd if=/dev/zero bs=64k count=64 2>/dev/null | nc -w 5 ${a} 7001; do sleep 0.1; done; sleep 1000`,
      ],
      {
        network: bridged(b),
      },
    );
    await eventually(async () => (await outputOf(sink)).trim() === String(64 * 65_536));
    const [received, sent] = await Promise.all([sink.networkStats(), source.networkStats()]);
    expect(received?.receivedBytes).toBeGreaterThan(64 * 65_536);
    expect(sent?.sentBytes).toBeGreaterThan(64 * 65_536);
    const all = await host.runtime.networks.stats([sink.id, source.id, "nobody"]);
    expect([...all.keys()].sort()).toEqual([sink.id, source.id].sort());
    await end(sink, source);
    /* The kernel takes it away with the namespace, in its own time. */
    await eventually(async () => (await sink.networkStats()) === null);
  });

  test("rates of the spec are in force from the start, both ways", async () => {
    const container = await host.start(["sleep", "1000"], {
      network: bridged(nextAddress(), { egressBitsPerSecond: 80_000_000, ingressBitsPerSecond: 8_000_000_000 }),
    });
    expect(inside(container)).toMatch(/qdisc tbf .* rate 80Mbit burst 32Kb/);
    expect(rates()).toMatch(/qdisc tbf .* dev be[0-9a-f]{13} root .* rate 8Gbit/);
    await end(container);
  });

  test("rates change while it runs, and stay away once they are lifted", async () => {
    const container = await host.start(["sleep", "1000"], { network: bridged(nextAddress()) });
    expect(inside(container)).not.toContain("tbf");
    await container.shape({ egressBitsPerSecond: 8_000_000, ingressBitsPerSecond: 16_000_000 });
    expect(inside(container)).toContain("rate 8Mbit");
    expect(rates()).toContain("rate 16Mbit");
    await container.shape({ egressBitsPerSecond: 40_000_000_000 });
    expect(inside(container)).toContain("rate 40Gbit");
    expect(rates()).toContain("rate 16Mbit");
    await container.shape({ egressBitsPerSecond: null, ingressBitsPerSecond: null });
    await container.shape({ egressBitsPerSecond: null, ingressBitsPerSecond: null });
    expect(inside(container)).not.toContain("tbf");
    expect(rates()).not.toContain("rate 16Mbit");
    await expect(container.shape({ egressBitsPerSecond: 5 })).rejects.toThrow(/egressBitsPerSecond: 5 is not in/);
    await end(container);
    await expect(container.shape({ egressBitsPerSecond: null })).rejects.toThrow(/does not run/);
  });

  /* The kernel's own count of what passed in a second, against the rate; an unshaped pair moves a hundred times as much. */
  test("a shaped sender is slowed down to its rate", async () => {
    const [a, b] = [nextAddress(), nextAddress()];
    const sink = await host.start(["sh", "-c", "while true; do sleep 1000 | nc -l -p 7002 >/dev/null; done"], {
      network: bridged(a),
    });
    const source = await host.start(["sh", "-c", `while true; do cat /dev/zero | nc ${a} 7002; sleep 0.1; done`], {
      network: bridged(b, { egressBitsPerSecond: 8_000_000 }),
    });
    const sent = async (): Promise<number> => (await source.networkStats())?.sentBytes ?? 0;
    await eventually(async () => (await sent()) > 500_000);
    const [before, beginMs] = [await sent(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const perSecond = ((await sent()) - before) / ((performance.now() - beginMs) / 1000);
    expect(perSecond).toBeLessThan(1_500_000);
    await source.shape({ egressBitsPerSecond: null });
    await eventually(async () => (await sent()) > 20_000_000);
    await end(sink, source);
  });
});

describe("nothing is left", () => {
  const MANY = slow ? 10 : 50;
  /* By name: others make and lose links at the same time. */
  const left = (ids: readonly string[]): readonly string[] => {
    const own = new Set(ids.map((id) => linkNameOf(host.stateDir, id)));
    return links().filter((name) => own.has(name));
  };

  test("of many containers, ended by themselves or killed with their supervisor", async () => {
    const ids: string[] = [];
    const runWith = async (network: NetworkSpec): Promise<void> => {
      const container = await host.start(["true"], { network });
      await container.exited;
      await container.remove();
      ids.push(container.id);
    };
    for (let i = 0; i < MANY; i += 1) await runWith(bridged(`${subnet}.${100 + i}`));
    for (let i = 0; i < MANY; i += 1) await runWith({ kind: "routed", address: `10.252.${run}.${i + 1}` });
    const container = await host.start(["sleep", "1000"], { network: bridged(nextAddress()) });
    expect(left([container.id])).toHaveLength(1);
    await end(container);
    await eventually(() => left([...ids, container.id]).length === 0);
  });

  test("of a start that failed after the network was there", async () => {
    const spec = host.spec(["/nowhere"], { network: bridged(nextAddress()) });
    const result = await host.runtime.start(spec);
    expect(result.ok).toBe(false);
    await eventually(() => left([spec.id]).length === 0);
  });
});

describe("bad input", () => {
  test.each([
    [{ kind: "bridge", bridge: "a/b", address: "10.0.0.1/8", gateway: null }, /network.bridge/],
    [{ kind: "bridge", bridge: "b", address: "10.0.0.1", gateway: null }, /network.address/],
    [{ kind: "bridge", bridge: "b", address: "10.0.0.01/8", gateway: null }, /network.address/],
    [{ kind: "bridge", bridge: "b", address: "10.0.0.256/8", gateway: null }, /network.address/],
    [{ kind: "bridge", bridge: "b", address: "10.0.0.1/8", gateway: "11.0.0.1" }, /network.gateway/],
    [{ kind: "bridge", bridge: "b", address: "10.0.0.1/8", gateway: "10.0.0.1" }, /network.gateway/],
    [{ kind: "routed", address: "127.0.0.1" }, /network.address/],
    [{ kind: "routed", address: "10.0.0.1", mtu: 100 }, /network.mtu/],
    [{ kind: "routed", address: "10.0.0.1", egressBitsPerSecond: 1 }, /network.egress/],
  ] as const)("%o", async (network, expected) => {
    const result = await host.runtime.start(host.spec(["true"], { network }));
    expect(result.ok ? "started" : result.error.detail).toMatch(expected);
  });

  test("a bridge that does not exist is named", async () => {
    const result = await host.runtime.start(
      host.spec(["true"], { network: { kind: "bridge", bridge: "nobridge", address: "10.0.0.2/24", gateway: null } }),
    );
    expect(result.ok ? undefined : result.error).toMatchObject({
      stage: "net.plug",
      code: "ENODEV",
      detail: "bridge nobridge",
    });
  });
});
