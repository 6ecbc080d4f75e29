/**
 * `pnpm bench:failover`: how long nobody takes writes after the leader of three schedulers is killed, on three
 * nats-servers, each process in a network namespace of its own (as `pnpm chaos` sets them up). Beside it, in the same
 * run, the floor: a leader that stops in order and says so. Then leaders that are paused for seconds and wake up
 * convinced. The log, read afterwards, says what was lost and who wrote what.
 *
 * `--json` prints one object a line: {name, value, unit, versus, target, met}.
 */
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { startFleet, type Fleet } from "../e2e/chaos/fleet.ts";
import type { Instance } from "../e2e/chaos/world.ts";

const USAGE =
  "usage: pnpm bench:failover [--rounds N] [--replicas 1|3] [--json]   (default: 12 rounds, 3 copies of every stream)\n";
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "12" },
    replicas: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const [rounds, replicas] = [Number(values.rounds), Number(values.replicas)];
if (values.help || !(rounds >= 1 && rounds <= 1_000) || ![1, 3].includes(replicas)) {
  process.stdout.write(USAGE);
  process.exit(values.help ? 0 : 64);
}

const TARGET_S = 5;
const PAUSED_ROUNDS = 3;
const PAUSED_MS = 7_000;
const PATIENCE_MS = 60_000;
const BETWEEN_TRIES_MS = 20;

const accepted: string[] = [];
const document = (name: string) => ({
  name,
  kind: "batch",
  image: "builtin://busybox",
  command: ["true"],
  resources: { cpu: { request: "10m" }, memory: { request: "16Mi" }, pids: 16 },
});

/** As a careful client: the same key every time, at every instance at once, until one takes it. Resolves to seconds. */
const write = async (instances: readonly Instance[], name: string): Promise<number> => {
  const sinceMs = performance.now();
  let tookMs: number | undefined;
  const tryAt = async (instance: Instance): Promise<void> => {
    while (tookMs === undefined && performance.now() - sinceMs < PATIENCE_MS) {
      const answer = await instance.call("POST", "/v1/jobs", document(name), name);
      if (answer !== undefined && answer.status < 300) tookMs ??= performance.now() - sinceMs;
      else await sleep(BETWEEN_TRIES_MS);
    }
  };
  await Promise.all(instances.map(tryAt));
  if (tookMs === undefined) throw new Error(`${name} was not taken within ${PATIENCE_MS / 1_000} s`);
  accepted.push(name);
  return tookMs / 1_000;
};

/** One after the other, each with a write that the leader takes before and one that somebody takes after. */
const series = async (fleet: Fleet, what: string, count: number, strike: (name: string) => void): Promise<number[]> => {
  const times: number[] = [];
  for (let round = 0; round < count; round += 1) {
    await write(fleet.instances, `${what}-${round}-before`);
    const leader = await fleet.leader();
    strike(leader.name);
    const others = fleet.instances.filter(({ name }) => name !== leader.name);
    times.push(await write(others, `${what}-${round}-after`));
    // What was struck is back, and follows.
    await sleep(2_000);
  }
  return times;
};

const median = (all: readonly number[]): number => {
  const sorted = all.toSorted((left, right) => left - right);
  const [low, high] = [sorted[(sorted.length - 1) >> 1] ?? Number.NaN, sorted[sorted.length >> 1] ?? Number.NaN];
  return (low + high) / 2;
};

const fleet = await startFleet({ say: (line) => void process.stderr.write(`${line}\n`), replicas });
try {
  const killed = await series(fleet, "kill", rounds, (name) => fleet.kept(name).kill());
  const stopped = await series(fleet, "stop", Math.ceil(rounds / 2), (name) => fleet.kept(name).stop());
  const paused: number[] = [];
  for (let round = 0; round < PAUSED_ROUNDS; round += 1) {
    const leader = await fleet.leader();
    fleet.kept(leader.name).pause();
    const others = fleet.instances.filter(({ name }) => name !== leader.name);
    paused.push(await write(others, `pause-${round}-during`));
    await sleep(PAUSED_MS);
    fleet.kept(leader.name).resume();
    // It is asked first: whatever it takes must have come through who leads now.
    await write([leader], `pause-${round}-awake`);
  }

  const wrong = await fleet.tail.settle();
  for (const one of wrong) process.stderr.write(`${one}\n`);
  let epoch = 0;
  let deposed = 0;
  const submitted = new Map<string, number>();
  for (const { sequence, transaction } of fleet.tail.entries()) {
    if (transaction.records.some(({ kind }) => kind === "leader_elected")) epoch = sequence;
    else if (transaction.epoch !== epoch) deposed += 1;
    for (const record of transaction.records)
      if (record.kind === "job_submitted") submitted.set(record.spec.name, (submitted.get(record.spec.name) ?? 0) + 1);
  }
  const lost = accepted.filter((name) => !submitted.has(name)).length + wrong.length;
  const twice = [...submitted.values()].filter((times) => times > 1).length;

  const floor = median(stopped);
  const rows = [
    { name: "failover.killed.median", value: median(killed), unit: "s", target: TARGET_S },
    { name: "failover.killed.longest", value: Math.max(...killed), unit: "s", target: null },
    { name: "failover.paused.median", value: median(paused), unit: "s", target: TARGET_S },
    { name: "failover.stopped_in_order.median", value: floor, unit: "s", target: null },
    { name: "failover.acknowledged", value: accepted.length, unit: "submissions", target: null },
    { name: "failover.acknowledged_and_lost", value: lost, unit: "submissions", target: 0 },
    { name: "failover.written_twice", value: twice, unit: "submissions", target: 0 },
    { name: "failover.by_a_deposed_leader", value: deposed, unit: "transactions", target: 0 },
  ].map((row) => ({
    ...row,
    value: Math.round(row.value * 100) / 100,
    versus: row.unit === "s" ? `${(row.value / floor).toFixed(1)} x a leader that stops in order` : null,
    met: row.target === null ? null : row.value <= row.target,
  }));
  for (const row of rows) {
    if (values.json) process.stdout.write(`${JSON.stringify(row)}\n`);
    else {
      const target = row.target === null ? "" : `   target ${row.target}: ${row.met === true ? "met" : "missed"}`;
      process.stdout.write(`${row.name.padEnd(34)}${String(row.value).padStart(8)} ${row.unit}${target}\n`);
    }
  }
  process.exitCode = rows.some(({ met }) => met === false) ? 1 : 0;
} finally {
  for (const left of await fleet.close()) process.stderr.write(`${left}\n`);
}
