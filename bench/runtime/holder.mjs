/*
 * A process as an agent would be, with nothing of the benchmark in it: it starts containers through the built package
 * and says what that costs. Started by holder.ts; obeys one JSON object a line and answers each with one.
 */
import { createInterface } from "node:readline";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { openRuntime } from "@berth/native";

const [stateDir, cgroupParent, image] = process.argv.slice(2);
const runtime = await openRuntime({ stateDir, cgroupParent, standby: 4 });
let serial = 0;

const spec = (command, more = {}) => {
  serial += 1;
  return {
    id: `h${serial}`,
    layers: [image],
    command,
    env: {},
    workdir: "/",
    hostname: "bench",
    mounts: [],
    idBase: 600_000_000 + (serial % 4000) * 65_536,
    limits: { cpuRequestMillis: 10, cpuLimitMillis: 1000, memoryBytes: 64 * 1024 * 1024, pids: 64 },
    ...more,
  };
};

const start = async (command, more) => {
  const result = await runtime.start(spec(command, more));
  if (!result.ok) throw new Error(`${result.error.stage}: ${result.error.detail} ${result.error.code}`);
  return result.value;
};

const held = [];
const ballast = [];

const orders = {
  /** Makes this process large. */
  grow: ({ bytes }) => {
    while (process.memoryUsage().rss < bytes) ballast.push(Buffer.alloc(16 * 1024 * 1024, 1));
    return { rssBytes: process.memoryUsage().rss };
  },
  /** Starts at a steady pace, with the event loop watched. */
  pace: async ({ count, perSecond }) => {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const called = [];
    const running = [];
    for (let i = 0; i < 5; i += 1) await (await start(["/bin/true"])).exited;
    delay.enable();
    const before = performance.eventLoopUtilization();
    const begin = performance.now();
    for (let i = 0; i < count; i += 1) {
      await sleep(Math.max(0, begin + (i * 1000) / perSecond - performance.now()));
      const call = performance.now();
      const starting = start(["/bin/true"]);
      called.push(performance.now() - call);
      running.push(
        starting.then(async (container) => {
          await container.exited;
          await container.remove();
        }),
      );
    }
    await Promise.all(running);
    delay.disable();
    const used = performance.eventLoopUtilization(before);
    return {
      called,
      activeMs: used.active,
      p999Ms: delay.percentile(99.9) / 1e6,
      maxMs: delay.max / 1e6,
      rssBytes: process.memoryUsage().rss,
    };
  },
  hold: async ({ count, network }) => {
    const begin = performance.now();
    for (let i = 0; i < count; i += 1)
      held.push(await start(["/bin/sleep", "100000"], network === undefined ? {} : { network: network[i] }));
    return { elapsedMs: performance.now() - begin, rssBytes: process.memoryUsage().rss };
  },
  release: async () => {
    const begin = performance.now();
    const all = held.splice(0);
    const exits = await Promise.all(all.map((one) => one.stop({ signal: 9, graceMs: 10_000 })));
    const elapsedMs = performance.now() - begin;
    await Promise.all(all.map((one) => one.remove()));
    return {
      elapsedMs,
      removedMs: performance.now() - begin,
      killed: exits.filter((exit) => exit.signal === 9).length,
    };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...more } = JSON.parse(line);
  try {
    process.stdout.write(`${JSON.stringify(await orders[order](more))}\n`);
  } catch (cause) {
    process.stdout.write(`${JSON.stringify({ failed: String(cause) })}\n`);
  }
}
await orders.release();
await runtime.close();
