/** A cluster under a schedule of faults, with users who go on meanwhile; afterwards the witness says what it saw. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HostView, JobView } from "@berth/schema";
import { eventually } from "../support/index.ts";
import { eachOnce, scheduleOf, type Fault } from "./schedule.ts";
import { several } from "./several.ts";
import { single } from "./single.ts";
import { checkSnapshots } from "./witness-snapshots.ts";
import { alive, findings, readJournals, runningBy } from "./witness.ts";
import type { Instance, LetGo, World } from "./world.ts";

const SAMPLE_MS = 250;
const SUBMIT_MS = 700;
const SHOWN_MS = 10_000;
const WELL_AGAIN_MS = 180_000;
/** Of one of each; those that are not possible yet are tried again for so long. */
const EACH = { longestMs: 4_000, tryMs: 40_000 };

export interface Outcome {
  /** What must never be, and was. */
  readonly wrong: readonly string[];
  readonly faults: Readonly<Record<string, number>>;
  readonly accepted: number;
  readonly stopped: number;
  readonly unanswered: number;
  readonly transactions: number;
  readonly elections: number;
  readonly snapshots: number;
  readonly samples: number;
}

export interface ChaosOptions {
  readonly seed: number;
  /** "each": every fault that is possible once, one after the other, however long that takes. */
  readonly durationMs: number | "each";
  /** One scheduler with its own nats-server, as `berth up` starts them, instead of three of each. */
  readonly isSingle: boolean;
  /** Of every stream, with three servers. */
  readonly replicas: number;
  /** Whatever lasts ends after this at most. */
  readonly longestMs?: number;
  readonly say: (line: string) => void;
}

const job = (name: string, more: object) => ({
  name,
  image: "builtin://busybox",
  resources: { cpu: { request: "10m" }, memory: { request: "16Mi" }, pids: 16 },
  timeouts: { stop: "1s" },
  ...more,
});
const service = { kind: "service", command: ["sh", "-c", "trap exit TERM; while true; do sleep 1 & wait $!; done"] };
/** Some of them need much of a host: not everything fits at once. */
const batch = (at: number) => ({
  kind: "batch",
  command: ["sh", "-c", `sleep ${at % 4}`],
  resources: { cpu: { request: `${[20, 80, 150, 260][at % 4]}m` }, memory: { request: "16Mi" }, pids: 16 },
});

const get = async <T>(instances: readonly Instance[], path: string): Promise<T> => {
  for (const instance of instances) {
    const answer = await instance.call("GET", path);
    if (answer?.status === 200) return answer.body as T;
  }
  throw new Error(`nobody answers ${path}`);
};

/** People who submit, look, and stop, at one scheduler after the other; they remember what they were told. */
const createUsers = (instances: readonly Instance[]) => {
  const accepted: string[] = [];
  const stopped: string[] = [];
  const wrong: string[] = [];
  let unanswered = 0;
  const submit = async (at: number, name: string, more: object): Promise<boolean> => {
    const instance = instances[at % instances.length];
    const answer = await instance?.call("POST", "/v1/jobs", job(name, more), `chaos-${name}`);
    if (answer === undefined || answer.status >= 300) {
      unanswered += 1;
      return false;
    }
    if (!accepted.includes(name)) accepted.push(name);
    // Whoever passed it on shows it once its own fold has caught up; one that is behind for longer says so.
    for (const untilMs = performance.now() + SHOWN_MS; ; await sleep(SAMPLE_MS)) {
      const seen = await instance?.call("GET", `/v1/jobs/default/${name}`);
      if (seen?.status !== 404) return true;
      if (performance.now() < untilMs) continue;
      wrong.push(`${instance?.name} took ${name} and does not know it`);
      return true;
    }
  };
  const stop = async (at: number, name: string): Promise<void> => {
    const answer = await instances[at % instances.length]?.call("POST", `/v1/jobs/default/${name}/stop`, {});
    if (answer !== undefined && answer.status < 300) stopped.push(name);
  };
  return { accepted, stopped, wrong, unanswered: () => unanswered, submit, stop };
};

const isWell = async ({ instances, hosts, tail }: World): Promise<boolean> => {
  const found = await get<{ items: HostView[] }>(instances, "/v1/hosts");
  const [web, alone] = await Promise.all([
    get<JobView>(instances, "/v1/jobs/default/web"),
    get<JobView>(instances, "/v1/jobs/default/alone"),
  ]);
  const ready = found.items.filter(({ state }) => state === "ready").length;
  const pending = (await get<{ items: JobView[] }>(instances, "/v1/jobs?limit=1000")).items.filter(
    ({ state }) => state === "pending",
  ).length;
  const complaint = `${ready} hosts ready, web ${web.tasks.running}, alone ${alone.tasks.running}, ${pending} pending`;
  if (ready !== hosts || web.tasks.running !== 3 || alone.tasks.running !== 1 || pending > 0)
    throw new Error(complaint);
  // The kernel and the log agree: nothing runs that the log does not know, and nothing is said to run that does not.
  const [log, kernel] = [runningBy(tail.entries()), alive()];
  const placed = new Set(
    tail
      .entries()
      .flatMap(({ transaction }) =>
        transaction.records.flatMap((one) => (one.kind === "allocation_placed" ? [one.placement.id as string] : [])),
      ),
  );
  const orphans = [...kernel].filter((id) => placed.has(id) && !log.has(id));
  const ghosts = [...log].filter((id) => !kernel.has(id));
  if (orphans.length + ghosts.length > 0)
    throw new Error(`runs unknown: ${orphans.join(" ")}; said to run: ${ghosts.join(" ")}`);
  return true;
};

export const runChaos = async (options: ChaosOptions): Promise<Outcome> => {
  const { say, seed, durationMs } = options;
  const world = options.isSingle ? await single() : await several(say, options.replicas);
  const { instances, tail } = world;
  const users = createUsers(instances);
  const samples: Set<string>[] = [];
  const faults: Record<string, number> = {};
  /** How to let go of what is held now. */
  const held = new Set<LetGo>();
  let running = true;
  const wrong: string[] = [];
  const complain = (error: unknown): void => void wrong.push(error instanceof Error ? error.message : String(error));

  const hold = (forMs: number, letGo: LetGo): void => {
    const once: LetGo = async () => {
      if (held.delete(once)) await letGo();
    };
    held.add(once);
    setTimeout(() => void Promise.resolve(once()).catch(complain), forMs);
  };
  const sample = async (): Promise<void> => {
    while (running) {
      samples.push(alive());
      await sleep(SAMPLE_MS);
    }
  };
  /** One at each scheduler; one that does not answer holds up nobody else. */
  const work = async (at: number): Promise<void> => {
    for (let round = 0; running; round += 1) {
      await users.submit(at, `b-${at}-${round}`, batch(round));
      const earlier = `s-${at}-${round - 4}`;
      if (round % 8 === 3) await users.submit(at, `s-${at}-${round}`, { ...service, replicas: 2 });
      if (round % 8 === 7 && users.accepted.includes(earlier)) await users.stop(at, earlier);
      await sleep(SUBMIT_MS * instances.length);
    }
  };

  const steps =
    durationMs === "each"
      ? eachOnce(seed, world.possible, options.longestMs ?? EACH.longestMs)
      : scheduleOf(seed, durationMs, world.possible, options.longestMs);
  const strike = async (fault: Fault): Promise<void> => {
    const letGo = await world.strike(fault);
    if (letGo !== undefined) hold(fault.forMs, letGo);
    faults[fault.kind] = (faults[fault.kind] ?? 0) + 1;
  };

  let snapshots = 0;
  const background: Promise<void>[] = [];
  try {
    await eventually("hosts are ready", async () => {
      const { items } = await get<{ items: HostView[] }>(instances, "/v1/hosts");
      return items.filter(({ state }) => state === "ready").length === world.hosts;
    });
    await users.submit(0, "web", { ...service, replicas: 3 });
    await users.submit(1, "alone", { ...service, replicas: 1, disconnect: { singleton: true } });
    background.push(sample(), ...instances.map((_, at) => work(at)));
    const startMs = performance.now();
    /** How much later than the schedule says, since something was not possible at once. */
    let lateMs = 0;
    for (const { atMs, fault } of steps) {
      await sleep(Math.max(0, startMs + atMs + lateMs - performance.now()));
      const nowMs = performance.now() - startMs;
      if (durationMs !== "each" && nowMs > durationMs) break;
      say(`${(nowMs / 1_000).toFixed(1)} s: ${JSON.stringify(fault)}`);
      if (durationMs === "each") {
        await eventually(`a fault: ${JSON.stringify(fault)}`, () => strike(fault).then(() => true), EACH.tryMs);
        lateMs = performance.now() - startMs - atMs;
        continue;
      }
      // What is to be struck may be dead already: it is one fault less.
      await strike(fault).catch((error: unknown) =>
        say(`  not now: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
    const endMs = durationMs === "each" ? performance.now() + EACH.longestMs : startMs + durationMs;
    await sleep(Math.max(0, endMs - performance.now()));
    for (const letGo of [...held]) await letGo();
    running = false;
    await Promise.all(background);
    const calmMs = performance.now();
    await eventually("all is well again", () => isWell(world), WELL_AGAIN_MS).catch(complain);
    say(`well again after ${((performance.now() - calmMs) / 1_000).toFixed(1)} s`);
    const journals = await readJournals(world.dataDir);
    wrong.push(...(await tail.settle()));
    const { accepted, stopped } = users;
    wrong.push(...users.wrong, ...world.wrong());
    wrong.push(...findings({ journals, log: tail.entries(), accepted, stopped, samples }));
    const stored = await tail.snapshots();
    snapshots = stored.length;
    wrong.push(...checkSnapshots(tail.entries(), stored));
  } finally {
    running = false;
    for (const letGo of [...held]) await letGo();
    await Promise.allSettled(background);
    const keepFiles = wrong.length > 0 && process.env["BERTH_CHAOS_KEEP"] !== undefined;
    if (keepFiles) say(`kept: ${world.dataDir} (berth down --data-dir removes its containers and networks)`);
    wrong.push(...(await world.close(keepFiles)));
  }
  const log = tail.entries();
  return {
    wrong,
    faults,
    accepted: users.accepted.length,
    stopped: users.stopped.length,
    unanswered: users.unanswered(),
    transactions: log.length,
    elections: log.filter(({ transaction }) => transaction.records.some(({ kind }) => kind === "leader_elected"))
      .length,
    snapshots,
    samples: samples.length,
  };
};
