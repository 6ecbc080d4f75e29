/**
 * Start to exit, all contestants in one run. In each round every one starts `true` a few times, in rotating order, so
 * that a noisy moment hits all of them; a round's value is the median of its starts, and ratios are those of one round.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Networks } from "@berth/native";
import type { Berth, Timing } from "./berth.ts";
import type { Contestant } from "./contestant.ts";
import { figure, median, pairedRatio, quantile, type Figure } from "./figures.ts";
import type { Floor } from "./floor.ts";

export interface Series {
  readonly all: number[];
  /** One a round; undefined where a slow one was left out. */
  readonly rounds: (number | undefined)[];
}

const GAP_MS = 100;
const BURST = 4;
const SLOW_EVERY = 3;

export interface Field {
  readonly floor: Floor;
  readonly berth: Berth;
  /** The same with a pool of supervisors on standby, as an agent has it. */
  readonly pooled: Berth;
  readonly peers: readonly Contestant[];
}

export const POOL = 4;
const POOLED = "berth with its pool";
/** The pool fills up again once no start came for a moment. */
const REFILL_MS = 80;

const floorOf = (field: Field): Contestant => ({
  name: "floor",
  start: () => field.floor.run(),
  close: () => Promise.resolve(),
});

const plain = (start: () => Promise<number>): Contestant => ({ name: "berth", start, close: () => Promise.resolve() });

const pooled = (start: () => Promise<number>): Contestant => ({
  name: POOLED,
  start,
  rest: async () => {
    await sleep(REFILL_MS);
  },
  close: () => Promise.resolve(),
});

const line = (field: Field, timings: Timing[]): Contestant[] => [
  floorOf(field),
  plain(async () => (await field.berth.time()).exitedMs),
  pooled(async () => {
    const timing = await field.pooled.time();
    timings.push(timing);
    return timing.exitedMs;
  }),
  ...field.peers,
];

const interleave = async (
  contestants: readonly Contestant[],
  rounds: number,
  burst: number,
  gapMs: number,
): Promise<Map<string, Series>> => {
  const series = new Map(contestants.map((one) => [one.name, { all: [], rounds: [] } as Series]));
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < contestants.length; i += 1) {
      const one = contestants[(round + i) % contestants.length];
      const into = one && series.get(one.name);
      if (one === undefined || into === undefined) continue;
      if (one.slow === true && round % SLOW_EVERY !== 0) {
        into.rounds.push(undefined);
        continue;
      }
      const values: number[] = [];
      for (let k = 0; k < (one.slow === true ? 1 : burst); k += 1) {
        if (gapMs > 0) await sleep(gapMs);
        values.push(await one.start());
      }
      await one.rest?.();
      into.all.push(...values);
      into.rounds.push(median(values));
    }
  }
  return series;
};

const ratio = (series: Map<string, Series>, of: string, over: string): number => {
  const a = series.get(of)?.rounds ?? [];
  const b = series.get(over)?.rounds ?? [];
  const both = a.flatMap((value, i) => (value === undefined || b[i] === undefined ? [] : [[value, b[i]] as const]));
  return pairedRatio(
    both.map(([value]) => value),
    both.map(([, value]) => value),
  );
};

/** Berth over each peer, at most. */
const PEER_TARGETS: Readonly<Record<string, number>> = {
  bwrap: 2 / 3,
  crun: 1 / 3,
  "lxc-start": 1 / 3,
  runc: 1 / 8,
  podman: 1 / 60,
  docker: 1 / 60,
};

/** Both ways of starting are held against each target: with the pool is what an agent does. */
const ratios = (
  mode: string,
  series: Map<string, Series>,
  over: string,
  more: { readonly atMost: number; readonly note?: string },
): Figure[] =>
  [POOLED, "berth"].map((name) =>
    figure(`${mode}: ${name} / ${over}`, ratio(series, name, over), "ratio", { versus: over, ...more }),
  );

export const warmStarts = async (field: Field, rounds: number): Promise<Figure[]> => {
  const timings: Timing[] = [];
  const contestants = line(field, timings);
  await interleave(contestants.slice(0, 3), 4, BURST, 0);
  timings.length = 0;
  const series = await interleave(contestants, rounds, BURST, 0);
  return [
    ...table("warm", series),
    figure(`warm: ${POOLED}, start to running, median`, median(timings.map((t) => t.startedMs)), "ms"),
    figure(`warm: ${POOLED}, start to removed, median`, median(timings.map((t) => t.removedMs)), "ms"),
    ...ratios("warm", series, "floor", { atMost: 1.3 }),
    ...field.peers.flatMap((peer) =>
      ratios("warm", series, peer.name, {
        atMost: PEER_TARGETS[peer.name] ?? 1,
        ...(peer.name === "bwrap" ? { note: "a stretch: bwrap sets no limits" } : {}),
      }),
    ),
  ];
};

export const coldStarts = async (field: Field, rounds: number): Promise<Figure[]> => {
  /* A 95th percentile wants many, of one start each. Peers are shown beside it, and held against nothing here. */
  const fast = line(field, []).filter((one) => one.slow !== true);
  const some = fast.map((one) => (field.peers.includes(one) ? { ...one, slow: true } : one));
  const series = await interleave(some, rounds, 1, GAP_MS);
  const p95 = (name: string): number => quantile(series.get(name)?.all ?? [], 0.95);
  return [
    ...table("cold", series),
    ...ratios("cold", series, "floor", { atMost: 1.3 }),
    ...[POOLED, "berth"].map((name) =>
      figure(`cold: ${name}, p95 / floor's p95`, p95(name) / p95("floor"), "ratio", { versus: "floor", atMost: 2 }),
    ),
  ];
};

/** What a plugged veth pair may cost beside the floor, which makes none. */
const PLUG_MS = 1.1;

/** A port of a bridge with address and default route. Each start gets another address. */
export const bridgedStarts = async (field: Field, rounds: number): Promise<Figure[]> => {
  const name = `bb${process.pid}`;
  const { networks } = field.berth.runtime;
  await networks.ensureBridge({ name, address: "10.233.0.1/16" });
  let serial = 1;
  const bridged = async (berth: Berth): Promise<number> => {
    serial = (serial + 1) % 60_000;
    const address = `10.233.${(serial >> 8) + 1}.${serial & 255}/16`;
    const network = { kind: "bridge", bridge: name, address, gateway: "10.233.0.1" } as const;
    return (await berth.time(network)).exitedMs;
  };
  try {
    const contestants = [floorOf(field), plain(() => bridged(field.berth)), pooled(() => bridged(field.pooled))];
    const series = await interleave(contestants, rounds, BURST, 0);
    const least = (series.get("floor")?.rounds ?? []).map((ms) => (ms ?? Number.NaN) + PLUG_MS);
    const ours = (of: string): number[] => (series.get(of)?.rounds ?? []).map((ms) => ms ?? Number.NaN);
    return [
      ...table("bridge", series),
      ...[POOLED, "berth"].map((of) =>
        figure(`bridge: ${of} / (floor + 1.1 ms)`, pairedRatio(ours(of), least), "ratio", {
          versus: "floor",
          atMost: 1.3,
        }),
      ),
    ];
  } finally {
    await removeWhenEmpty(networks, name);
  }
};

/** Links go with their network namespaces, which the kernel takes down in its own time. */
const removeWhenEmpty = async (networks: Networks, name: string): Promise<void> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await networks.removeBridge(name);
      return;
    } catch (cause) {
      if (attempt === 100) throw cause;
      await sleep(50);
    }
  }
};

const table = (mode: string, series: Map<string, Series>): Figure[] =>
  [...series].flatMap(([name, { all }]) => [
    figure(`${mode}: ${name}, start to exit, median`, median(all), "ms", { note: `n=${all.length}` }),
    figure(`${mode}: ${name}, start to exit, p95`, quantile(all, 0.95), "ms"),
  ]);
