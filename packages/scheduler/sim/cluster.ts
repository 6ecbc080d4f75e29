/**
 * The core in a world that goes wrong, driven from a seed: agents that start, finish, crash, fall silent and return; reports
 * that are lost, repeated and reordered; leaders that come back too late; schedulers that die before their append and
 * refold the log. The core is the real one, the log an array, the clock a number. After every append the checker reads the
 * log by itself, and the state is compared with what can be counted from its facts.
 */
import {
  makeId,
  type AllocationId,
  type Device,
  type HostId,
  type JobSpec,
  type LogRecord,
  type Transaction,
} from "@berth/schema";
import {
  createState,
  decideDrain,
  decideEnrol,
  decideForget,
  decideHello,
  decideReports,
  decideSilence,
  decideStop,
  decideSubmit,
  decideUncordon,
  desiredFor,
  dryRun,
  fold,
  imageOf,
  planEvaluations,
  restoreImage,
  validatePlan,
  type ClusterState,
  type ImageLine,
} from "../src/core/index.ts";
import { inside } from "../src/core/state.ts";
import { couldRun, createAgent, helloOf, newKey, reboot, takeDocument, work, type SimAgent } from "./agent.ts";
import { unexplained } from "./explained.ts";
import { createChecker } from "./checker.ts";
import { countErrors } from "./counts.ts";
import { randomDevices } from "./devices.ts";
import { describe } from "./describe.ts";
import { dumpState } from "./dump.ts";
import { dutyStep, randomHostSize, randomRest } from "./duty.ts";
import type { SimOptions } from "./options.ts";
import { otherLimits, randomJob, randomSpec } from "./jobs.ts";
import { liftQuotas, quotaStep } from "./quotas.ts";
import { seededRandom, type Random } from "./random.ts";
import { randomZone, withRules } from "./rules.ts";
import { createSecretCheck } from "./secret-check.ts";
import { createDocumentCheck, firstSecrets, secretStep, withSecrets } from "./secrets.ts";
import { volumeStep } from "./volumes.ts";
import { planTwice } from "./wake.ts";

/** So many plans may follow from one, beside those that stop the rest of a gang. */
const MAX_MORE = 3;
const PATIENCE = { disconnectedAfterMs: 4_000, lostAfterMs: 10_000 };
const PUBLIC_KEY = `U${"A".repeat(55)}`;

export class SimulatedCluster {
  state: ClusterState = createState();
  readonly log: Transaction[] = [];
  readonly agents: SimAgent[] = [];
  /** One line per event, fixed columns: what a failing run is read by. */
  readonly trace: string[] = [];
  readonly #random: Random;
  readonly #options: Required<SimOptions>;
  readonly #checkDocument = createDocumentCheck();
  readonly #checkSecrets = createSecretCheck();
  readonly #checker = createChecker();
  readonly #silentSince = new Map<HostId, number>();
  nowMs = 1_700_000_000_000;
  #image = { text: JSON.stringify([...imageOf(createState())]), length: 0 };
  #ids = 0;
  #jobs = 0;

  constructor(options: SimOptions) {
    this.#random = seededRandom(options.seed);
    this.#options = { quotas: false, devices: false, daemons: false, secrets: false, rules: false, ...options };
    this.append("election", [{ kind: "leader_elected", instance: "s1" }]);
    if (this.#options.secrets) this.append("secret", firstSecrets(this.state));
    for (let at = 0; at < options.hosts; at += 1) {
      const agent = createAgent(`h${at + 1}` as HostId, randomHostSize(this.#random), this.#hostDevices());
      this.#relabel(agent);
      this.agents.push(agent);
      const enrolled = decideEnrol(this.state, { id: agent.id, publicKey: PUBLIC_KEY, by: "admin" });
      if (enrolled.ok) this.append("enrol", enrolled.value);
      this.#hello(agent);
    }
  }

  /** Throws with the trace when what happened must not happen. */
  #fail(errors: readonly string[]): void {
    if (errors.length === 0) return;
    throw new Error(`${errors.join("\n")}\n--- the last events ---\n${this.trace.slice(-60).join("\n")}`);
  }

  append(cause: string, records: readonly LogRecord[], epoch = this.state.epoch): void {
    if (records.length === 0) return;
    const about = { version: 2, origin: null, epoch, atMs: this.nowMs } as const;
    const transaction: Transaction = { ...about, cause, records: [...records] };
    this.log.push(transaction);
    const sequence = this.log.length;
    for (const record of records) {
      const at = String(this.nowMs % 100_000_000).padStart(8);
      this.trace.push(`${String(sequence).padStart(5)} ${at} e${epoch} ${cause.padEnd(9)} ${describe(record)}`);
    }
    const changes = fold(this.state, sequence, transaction);
    const stale = epoch < this.state.epoch && !records.some((record) => record.kind === "leader_elected");
    const errors = this.#checker.check(sequence, transaction);
    // The core decides from a current state, so all of it must be news.
    if (!stale && changes.ignored > 0) errors.push(`${changes.ignored} records were ignored`);
    if (stale && changes.ignored !== records.length) errors.push("a deposed leader's records were folded");
    if (this.#options.secrets) {
      if (!stale) errors.push(...this.#checkSecrets(records));
      for (const { id } of this.agents) errors.push(...this.#checkDocument(this.state, desiredFor(this.state, id)));
    }
    this.#fail([...errors, ...countErrors(this.state)]);
  }

  #hostDevices(): readonly Device[] {
    return this.#options.devices ? randomDevices(this.#random) : [];
  }

  #relabel(agent: SimAgent): void {
    if (this.#options.daemons) Object.assign(agent, randomRest(this.#random));
    if (this.#options.rules) agent.zone = randomZone(this.#random);
  }

  #makeAllocationId = (): AllocationId => {
    this.#ids += 1;
    const random = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, this.#ids >> 16, (this.#ids >> 8) & 255, this.#ids & 255);
    return makeId("alloc", this.nowMs, random) as AllocationId;
  };

  #env() {
    return { nowMs: this.nowMs, makeAllocationId: this.#makeAllocationId };
  }

  #spec(): JobSpec {
    const again = this.#random.chance(0.3) && this.#jobs > 0;
    if (this.#jobs > 0 && this.#random.chance(0.3)) return otherLimits(this.#random, this.state.jobs);
    if (!again) this.#jobs += 1;
    const number = again ? 1 + this.#random.below(this.#jobs) : this.#jobs;
    const make = this.#options.daemons ? randomJob : randomSpec;
    const plain = make(this.#random, number, this.#options.policy, this.#options.devices);
    const spec = this.#options.rules ? withRules(plain, this.#random) : plain;
    return this.#options.secrets ? withSecrets(spec, this.#random) : spec;
  }

  #hello(agent: SimAgent): void {
    const hello = decideHello(this.state, agent.id, helloOf(agent));
    if (hello.ok) this.append("hello", hello.value);
    this.#silentSince.delete(agent.id);
  }

  /** Its agent is replaced by one that knows secrets, or has lost its key. */
  #upgrade(agent: SimAgent): void {
    newKey(agent);
    if (agent.online) this.#hello(agent);
  }

  /** An operator closes, opens, empties or removes a host; one that was removed is admitted again. */
  #duty(agent: SimAgent): void {
    const { id } = agent;
    const records = dutyStep(this.state, id, this.#random, this.nowMs);
    if (records === undefined) return;
    this.append("duty", records);
    if (this.state.hosts.has(id)) return;
    const enrolled = decideEnrol(this.state, { id, publicKey: PUBLIC_KEY, by: "admin" });
    if (enrolled.ok) this.append("enrol", enrolled.value);
    agent.session += 1;
    if (agent.online) this.#hello(agent);
  }

  #check(records: readonly LogRecord[]): void {
    const verdict = validatePlan(this.state, records);
    this.#fail(verdict.ok ? [] : verdict.error.map((wrong) => `invalid plan: ${wrong}`));
  }

  /** Plans, checks the plan and appends it; with `crash` the scheduler dies before the append. Returns whether it planned. */
  plan(crash = false, maxPlacements = 1 + this.#random.below(20)): boolean {
    this.append("drain", decideDrain(this.state, this.nowMs).records);
    const ids = this.#ids;
    const { planned, wrong } = planTwice(this.state, () => {
      this.#ids = ids;
      return planEvaluations(this.state, this.#env(), { maxPlacements });
    });
    this.#fail(wrong);
    this.#check(planned.records);
    this.#fail(planned.records.length === 0 && planned.more ? ["a plan without records says that there is more"] : []);
    if (crash) {
      this.restart();
      return true;
    }
    this.append("plan", planned.records);
    if (planned.more || planned.records.length === 0) return planned.records.length > 0;
    this.#comeToRest();
    this.#fail([...unexplained(this.state, this.nowMs), ...this.#checker.daemons.missing(this.state, this.nowMs)]);
    return true;
  }

  /**
   * A plan leads to few more: what it placed may be in the way of more important work, and what is promised to whoever waits
   * first may move, once it stands what others got; where it has broken a gang, the rest of that is stopped first.
   */
  #comeToRest(): void {
    let more = 0;
    for (let rounds = 0; ; rounds += 1) {
      const isBroken = inside(this.state).toStop.size > 0;
      const again = planEvaluations(this.state, this.#env(), { maxPlacements: 1_000 });
      if (again.records.length === 0) return;
      const mayPlan = isBroken || (this.#options.policy && more < MAX_MORE);
      if (!mayPlan || rounds > 20) this.#fail([`planning again gives ${again.records.map(describe).join(", ")}`]);
      if (!isBroken) more += 1;
      this.#check(again.records);
      this.append("plan", again.records);
    }
  }

  /** What a snapshot would hold now. */
  #takeImage(): void {
    this.#image = { text: JSON.stringify([...imageOf(this.state)]), length: this.log.length };
    this.trace.push("      --- snapshot taken ---");
  }

  /** The newest snapshot and what was appended after it. */
  #restored(): ClusterState {
    const state = createState();
    const { text, length } = this.#image;
    restoreImage(state, JSON.parse(text) as ImageLine[]);
    this.log.slice(length).forEach((transaction, at) => fold(state, length + at + 1, transaction));
    return state;
  }

  /** The log, folded from its beginning or from a snapshot on, must give the same facts and the same next plan. */
  restart(): void {
    const refolded = createState();
    this.log.forEach((transaction, at) => fold(refolded, at + 1, transaction));
    this.#compare(refolded, "the refolded log");
    const restored = this.#restored();
    this.#compare(restored, "the snapshot with the rest of the log");
    this.state = this.#random.chance(0.5) ? refolded : restored;
    this.trace.push("      --- scheduler restarted ---");
    this.#takeImage();
  }

  #compare(again: ClusterState, what: string): void {
    const [before, after] = [dumpState(this.state), dumpState(again)];
    if (before !== after) this.#fail([`${what} gives another state`]);
    const ids = this.#ids;
    const left = planEvaluations(this.state, this.#env(), { maxPlacements: 1_000 });
    this.#ids = ids;
    const right = planEvaluations(again, this.#env(), { maxPlacements: 1_000 });
    this.#ids = ids;
    const [was, is] = [JSON.stringify(left), JSON.stringify(right)];
    if (was !== is) this.#fail([`${what} plans otherwise: ${was}`, `and now: ${is}`]);
  }

  #submit(): void {
    const spec = this.#spec();
    const idempotencyKey = this.#random.chance(0.3) ? `key-${this.#random.below(10)}` : null;
    const request = { spec, by: "ann", idempotencyKey, requestDigest: JSON.stringify(spec) };
    // A dry run must foretell the plan exactly; where only limits change, all stays where it is.
    while (this.plan(false, 1_000));
    const forecast = dryRun(this.state, spec, this.#env());
    const decision = decideSubmit(this.state, request);
    if (!decision.ok || decision.value.records.length === 0) return;
    this.append("submit", decision.value.records);
    if (!forecast.ok) return this.#fail([`the dry run refused what was accepted: ${JSON.stringify(forecast.error)}`]);
    const plan = planEvaluations(this.state, this.#env(), { maxPlacements: 1_000 });
    const tasks = decision.value.action === "change_limits" ? [] : forecast.value.tasks;
    const foretold = tasks.flatMap(({ index, outcome }) =>
      outcome.kind === "placed" ? [`${index} ${outcome.hostId} ${outcome.score.total}`] : [],
    );
    const placed = plan.records.flatMap((record) => (record.kind === "allocation_placed" ? [record.placement] : []));
    const own = placed.filter(({ job }) => job === spec.name);
    const planned = own.map(({ index, hostId, score }) => `${index} ${hostId} ${score.total}`);
    // Scored with the new job, hosts may come in another order: a gang that waits with its new volume may find room at last.
    if (own.length === placed.length && foretold.join() !== planned.join()) {
      this.#fail([`dry run of ${spec.name}: ${foretold.join(", ")}`, `but planned: ${planned.join(", ")}`]);
    }
  }

  #deliver(agent: SimAgent, faults: boolean): void {
    const { chance, below } = this.#random;
    if (!agent.online || agent.unacknowledged.length === 0) return;
    const batch = [...agent.unacknowledged];
    if (faults && chance(0.3)) batch.push(batch[below(batch.length)] as (typeof batch)[number]);
    if (faults && chance(0.3)) batch.sort(() => (chance(0.5) ? 1 : -1));
    if (faults && chance(0.2)) return;
    this.append("report", decideReports(this.state, agent.id, batch));
    // The acknowledgement may be lost: then everything comes again.
    if (!faults || chance(0.8)) agent.unacknowledged.length = 0;
  }

  #toggle(agent: SimAgent): void {
    agent.online = !agent.online;
    this.trace.push(`      ${agent.id} ${agent.online ? "returns" : "falls silent"}`);
    if (!agent.online) this.#silentSince.set(agent.id, this.nowMs);
    else this.#hello(agent);
  }

  #judgeSilence(): void {
    for (const [id, since] of this.#silentSince) {
      const silentMs = this.nowMs - since;
      this.append("silence", decideSilence(this.state, id, silentMs, PATIENCE));
    }
  }

  /** One random thing happens. */
  step(): void {
    const { below, chance, pick } = this.#random;
    this.nowMs += below(3_000);
    const agent = pick(this.agents);
    if (agent === undefined) return;
    const dice = below(this.#options.secrets ? 128 : this.#options.quotas ? 114 : 108);
    if (dice >= 126) this.#upgrade(agent);
    else if (dice >= 114) this.append("secret", secretStep(this.state, this.#random));
    else if (dice >= 108) this.append("project", quotaStep(this.state, this.#random));
    else if (dice >= 104) this.append("volume", volumeStep(this.state, this.#random));
    else if (dice >= 100) this.#duty(agent);
    else if (dice < 11) this.#submit();
    else if (dice < 17) {
      const job = pick([...this.state.jobs.values()].filter((one) => one.finishedAtMs === null || chance(0.1)));
      const stopped = job === undefined ? undefined : decideStop(this.state, job.project, job.name, "ann");
      if (stopped?.ok === true) this.append("stop", stopped.value);
    } else if (dice < 35) this.plan(chance(0.1));
    else if (dice < 50) takeDocument(agent, desiredFor(this.state, agent.id), this.nowMs);
    else if (dice < 68) work(agent, this.#random, this.nowMs, false);
    else if (dice < 84) this.#deliver(agent, true);
    else if (dice < 88) this.#toggle(agent);
    else if (dice < 92) this.#judgeSilence();
    else if (dice < 94) {
      reboot(agent, this.nowMs);
      if (agent.online) this.#hello(agent);
    } else if (dice < 96) {
      agent.allocatable = randomHostSize(this.#random);
      agent.devices = this.#hostDevices();
      this.#relabel(agent);
      agent.session += 1;
      if (agent.online) this.#hello(agent);
    } else if (dice < 97) this.append("election", [{ kind: "leader_elected", instance: `s${below(3)}` }]);
    else if (dice < 98) {
      const { records } = planEvaluations(this.state, this.#env(), { maxPlacements: 10 });
      this.append("deposed", records, this.state.epoch - 1);
    } else if (dice < 99) {
      this.append("forget", decideForget(this.state));
      this.#takeImage();
    } else this.restart();
  }

  /**
   * Nothing goes wrong any more and everything that can end does. Returns the open tasks that are left: only those that no
   * host is large enough for may be among them.
   */
  drain(): string[] {
    this.append("project", liftQuotas(this.state));
    for (const agent of this.agents) {
      if (!agent.online) this.#toggle(agent);
      // What waits for an agent that knows secrets gets one.
      if (this.#options.secrets && agent.sealingKey === null) this.#upgrade(agent);
      const opened = decideUncordon(this.state, agent.id, "ann");
      if (opened.ok) this.append("duty", opened.value);
    }
    for (const job of this.state.jobs.values()) {
      if (job.spec.kind === "batch") continue;
      const stopped = decideStop(this.state, job.project, job.name, "drain");
      if (stopped.ok) this.append("stop", stopped.value);
    }
    let quiet = 0;
    for (let round = 0; round < 500 && quiet < 3; round += 1) {
      const before = this.log.length;
      this.nowMs += 10_000;
      while (this.plan(false, 1_000));
      for (const agent of this.agents) {
        takeDocument(agent, desiredFor(this.state, agent.id), this.nowMs);
        work(agent, this.#random, this.nowMs, true);
        this.#deliver(agent, false);
      }
      quiet = this.log.length === before ? quiet + 1 : 0;
    }
    if (quiet < 3) this.#fail(["the drain does not end"]);
    return [...this.state.jobs.values()]
      .filter(({ spec, finishedAtMs }) => finishedAtMs === null && couldRun(this.agents, spec))
      .map((job) => `${job.key} is left over: ${JSON.stringify(job.counts)}`);
  }

  /** Ends the run: what is left over although it could have run is an error. */
  finish(): void {
    this.#fail(this.drain());
    this.restart();
  }
}
