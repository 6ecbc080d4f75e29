/**
 * The other end of the line, speaking the schema over a real nats-server: admits hellos, acknowledges reports, signs and
 * publishes desired documents, asks for files. Keeps every report, so that a test can say what was told and how often.
 */
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { connect, nkeyAuthenticator, type Msg, type NatsConnection } from "nats";
import {
  decoder,
  HeartbeatSchema,
  HelloSchema,
  isTerminal,
  LeaseRequestSchema,
  makeId,
  problem,
  ReportSchema,
  RPC_VALID_MS,
  Subjects,
  SyncSchema,
  type AllocationId,
  type AllocationReport,
  type AllocationState,
  type Chunk,
  type DesiredAllocation,
  type DesiredDocument,
  type Heartbeat,
  type Hello,
  type HostId,
  type JobSpec,
  type Lease,
  type Problem,
  type Reply,
  type Rpc,
  type Signed,
} from "@berth/schema";

const encoder = new TextEncoder();
const decodeHello = decoder(HelloSchema);
const decodeReport = decoder(ReportSchema);
const decodeLeaseRequest = decoder(LeaseRequestSchema);
const decodeSync = decoder(SyncSchema);
const decodeHeartbeat = decoder(HeartbeatSchema);

let made = 0;
/** Ids in the order they are made. */
export const allocationId = (): AllocationId => {
  made += 1;
  const random = new Uint8Array(10);
  new DataView(random.buffer).setUint32(6, made);
  return makeId("alloc", 1_700_000_000_000 + made, random) as AllocationId;
};

export const testSpec = (command: readonly string[], more: Partial<JobSpec> = {}): JobSpec => ({
  name: "test" as JobSpec["name"],
  project: "default" as JobSpec["project"],
  kind: "batch",
  image: "builtin://busybox",
  command: [...command],
  env: {},
  workdir: "/",
  requests: { cpuMillis: 50, memoryBytes: 32 * 2 ** 20, pids: 32 },
  limits: { cpuMillis: null, memoryBytes: 64 * 2 ** 20, pids: 32 },
  count: 1,
  maxRunning: null,
  volumes: [],
  outputs: [],
  restart: { on: "never", max: null, backoffFirstMs: 1000, backoffLongestMs: 60_000, retryCodes: [], fatalCodes: [] },
  runTimeoutMs: null,
  stopTimeoutMs: 2000,
  ...more,
});

export const clusterKeys = (): { readonly privateKey: KeyObject; readonly pem: string } => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { privateKey, pem: publicKey.export({ type: "spki", format: "pem" }).toString() };
};

export const signWith = (key: KeyObject, value: unknown): Signed => {
  const payload = JSON.stringify(value);
  return { payload, signature: sign(null, Buffer.from(payload), key).toString("base64") };
};

export class FakeScheduler {
  epoch = 7;
  rev = 1;
  secrets: DesiredDocument["secrets"];
  heartbeatMs = 200;
  /** Changes what leases say. */
  lease: Partial<Lease> = {};
  /** Set to refuse reports. */
  reportProblem: Problem | undefined;
  readonly hellos: Hello[] = [];
  readonly heartbeats: Heartbeat[] = [];
  /** Every report that was acknowledged, in order. */
  readonly reports: AllocationReport[] = [];
  readonly #specs: Record<string, JobSpec> = {};
  readonly #allocations = new Map<AllocationId, DesiredAllocation>();
  readonly #host: HostId;
  #seq = 0;
  readonly #key: KeyObject;
  #connection: NatsConnection | undefined;

  constructor(host: HostId, key: KeyObject) {
    this.#host = host;
    this.#key = key;
  }

  async connect(url: string, seed: Uint8Array): Promise<void> {
    const connection = await connect({
      servers: url,
      authenticator: nkeyAuthenticator(seed),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 0,
    });
    this.#connection = connection;
    connection.subscribe("api.*.*", { callback: (_error, message) => this.#answer(message) });
    connection.subscribe(Subjects.heartbeats, {
      callback: (_error, message) => {
        const heartbeat = decodeHeartbeat(message.json());
        if (!heartbeat.ok) throw new Error(`a heartbeat is malformed: ${JSON.stringify(heartbeat.error)}`);
        this.heartbeats.push(heartbeat.value);
      },
    });
    await connection.flush();
  }

  async close(): Promise<void> {
    await this.#connection?.close();
  }

  get session(): string {
    return this.hellos.at(-1)?.session ?? "";
  }

  place(spec: JobSpec, more: Partial<DesiredAllocation> = {}): AllocationId {
    const id = allocationId();
    const key = `spec${Object.keys(this.#specs).length}`;
    this.#specs[key] = spec;
    const allocation = {
      id,
      project: spec.project,
      job: spec.name,
      jobVersion: 1,
      index: 0,
      attempt: 1,
      epoch: this.epoch,
      desired: "run",
      spec: key,
    };
    this.#allocations.set(id, { ...(allocation as DesiredAllocation), ...more });
    return id;
  }

  wish(id: AllocationId, desired: "run" | "stop"): void {
    const allocation = this.#allocations.get(id);
    if (allocation !== undefined) this.#allocations.set(id, { ...allocation, desired });
  }

  /** What it runs has these limits from the next document on. */
  limit(id: AllocationId, limits: JobSpec["limits"]): void {
    const allocation = this.#allocations.get(id);
    const spec = this.#specs[allocation?.spec ?? ""];
    if (allocation === undefined || spec === undefined) throw new Error(`${id} is not placed`);
    const jobVersion = allocation.jobVersion + 1;
    const key = `${allocation.spec}@${jobVersion}`;
    this.#specs[key] = { ...spec, limits };
    this.#allocations.set(id, { ...allocation, jobVersion, spec: key });
  }

  drop(id: AllocationId): void {
    this.#allocations.delete(id);
  }

  document(): DesiredDocument {
    return {
      version: 1,
      host: this.#host,
      epoch: this.epoch,
      rev: this.rev,
      specs: this.#specs,
      allocations: [...this.#allocations.values()],
      ...(this.secrets !== undefined && { secrets: this.secrets }),
    };
  }

  /** A new revision, announced as the store would. */
  publish(): void {
    this.rev += 1;
    this.announce(signWith(this.#key, this.document()));
  }

  announce(signed: Signed): void {
    this.#connection?.publish(Subjects.desired(this.#host), encoder.encode(JSON.stringify(signed)));
  }

  sign(value: unknown): Signed {
    return signWith(this.#key, value);
  }

  rpc(op: Rpc["op"], more: Partial<Rpc> = {}): Promise<Reply<never>> {
    return this.ask(this.sign({ ...this.rpcOf(op), ...more }));
  }

  /** A request with a number of its own. */
  rpcOf(op: Rpc["op"]): Rpc {
    this.#seq += 1;
    const valid = { issuer: "fakescheduler", seq: this.#seq, expiresAtMs: Date.now() + RPC_VALID_MS };
    return { host: this.#host, session: this.session, epoch: this.epoch, ...valid, op };
  }

  async ask(signed: unknown): Promise<Reply<never>> {
    if (this.#connection === undefined) throw new Error("not connected");
    const answer = await this.#connection.request(Subjects.rpc(this.#host), encoder.encode(JSON.stringify(signed)), {
      timeout: 15_000,
    });
    return answer.json();
  }

  /** What it has printed so far. Where there is none to read: `missing`, or it fails with the agent's problem. */
  async stdoutOf(allocation: AllocationId, missing?: string): Promise<string> {
    const op = { kind: "read", allocation, file: { kind: "stdout" }, offset: 0, maxBytes: 65_536, waitMs: 0 } as const;
    const reply = await this.rpc(op);
    if (!reply.ok) {
      if (missing !== undefined) return missing;
      throw new Error(JSON.stringify(reply.problem));
    }
    return Buffer.from((reply.value as Chunk).data, "base64").toString();
  }

  /** States that were reported of one allocation, in order. */
  states(id: AllocationId): readonly AllocationState[] {
    return this.reports.filter((report) => report.id === id).map((report) => report.state);
  }

  end(id: AllocationId): AllocationReport | undefined {
    return this.reports.find((report) => report.id === id && isTerminal(report.state));
  }

  #answer(message: Msg): void {
    const [, host, operation] = message.subject.split(".");
    const reply = (value: Reply<unknown>): void => void message.respond(encoder.encode(JSON.stringify(value)));
    if (message.reply?.startsWith(`_INBOX_${host}.`) !== true) return;
    const body: unknown = message.json();
    switch (operation) {
      case "hello": {
        const hello = decodeHello(body);
        if (!hello.ok) return reply({ ok: false, problem: problem("message.invalid", JSON.stringify(hello.error)) });
        this.hellos.push(hello.value);
        return reply({
          ok: true,
          value: { epoch: this.epoch, heartbeatMs: this.heartbeatMs, desired: this.sign(this.document()) },
        });
      }
      case "sync": {
        const sync = decodeSync(body);
        if (!sync.ok) return reply({ ok: false, problem: problem("message.invalid", JSON.stringify(sync.error)) });
        const current = sync.value.epoch === this.epoch && sync.value.rev === this.rev;
        return reply({ ok: true, value: { desired: current ? null : this.sign(this.document()) } });
      }
      case "report": {
        const report = decodeReport(body);
        if (!report.ok) return reply({ ok: false, problem: problem("message.invalid", JSON.stringify(report.error)) });
        if (this.reportProblem !== undefined) return reply({ ok: false, problem: this.reportProblem });
        this.reports.push(...report.value.allocations);
        // As the real one: what has ended is no longer desired.
        for (const { id, state } of report.value.allocations) if (isTerminal(state)) this.#allocations.delete(id);
        return reply({ ok: true, value: { rev: this.rev } });
      }
      case "lease": {
        const asked = decodeLeaseRequest(body);
        if (!asked.ok) return reply({ ok: false, problem: problem("message.invalid", JSON.stringify(asked.error)) });
        const lease = { kind: "lease", host, session: asked.value.session, epoch: this.epoch, rev: this.rev };
        return reply({ ok: true, value: { lease: this.sign({ ...lease, nonce: asked.value.nonce, ...this.lease }) } });
      }
      default:
        return reply({ ok: false, problem: problem("message.invalid", `no operation ${operation}`) });
    }
  }
}
