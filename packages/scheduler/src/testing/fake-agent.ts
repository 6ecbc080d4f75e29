/**
 * An agent that speaks the schema over the real bus and runs nothing: allocations go through their states at once, or as
 * `behave` says. What it receives is checked like a real agent would: signature, host, newer than before.
 */
import { verify } from "node:crypto";
import { connect, nkeyAuthenticator, nkeys, type NatsConnection, type Msg } from "nats";
import {
  decoder,
  DesiredDocumentSchema,
  MAX_REPORTS,
  RpcSchema,
  SignedSchema,
  Subjects,
  type AllocationReport,
  type DesiredAllocation,
  type DesiredDocument,
  type Enrolled,
  type HostId,
  type ImageOperation,
  type ImageRequest,
  type JobSpec,
  type KeptLayer,
  type Reply,
  type Rpc,
  type Welcome,
} from "@berth/schema";
import type { TestScheduler } from "./scheduler.ts";
import { afterTests } from "./temp.ts";

export interface Ending {
  /** Exit code, or "forever" until it is stopped. */
  readonly code: number | "forever";
}

export interface FakeAgentOptions {
  readonly id: string;
  readonly cpuMillis?: number;
  readonly behave?: (allocation: DesiredAllocation, spec: JobSpec) => Ending;
  readonly sealingKey?: string;
  /** Files by `allocation/stdout` or `allocation/path`. */
  readonly files?: Map<string, Buffer>;
  /** What it keeps of tasks that have ended. */
  readonly layers?: readonly KeptLayer[];
  /** Operations that it has begun, by their ids. */
  readonly operations?: readonly (readonly [string, ImageRequest])[];
  /** Names of the images that it has. */
  readonly images?: readonly string[];
}

export interface FakeAgent {
  readonly id: HostId;
  readonly seed: Uint8Array;
  readonly connection: NatsConnection;
  readonly session: () => string;
  readonly document: () => DesiredDocument | undefined;
  /** Ids of allocations that it was told to run, in order. */
  readonly started: readonly string[];
  readonly rpcs: readonly Rpc[];
  readonly problems: readonly string[];
  readonly hello: () => Promise<Reply<Welcome>>;
  readonly request: (operation: string, body: unknown) => Promise<Reply<unknown>>;
  /** Stops heartbeats and everything else, as if the machine were gone. */
  readonly vanish: () => void;
  readonly come: () => void;
  readonly close: () => Promise<void>;
}

const decodeSigned = decoder(SignedSchema);
const decodeDocument = decoder(DesiredDocumentSchema);
const decodeRpc = decoder(RpcSchema);

export const capacityOf = (cpuMillis: number) => {
  const all = { cpuMillis, memoryBytes: 8 * 2 ** 30, pids: 32_768 };
  return { capacity: all, systemReserved: { cpuMillis: 0, memoryBytes: 0, pids: 0 }, allocatable: all };
};

export const inventoryOf = (hostname: string) => ({
  hostname,
  arch: "x64",
  os: "Debian 12",
  kernel: "6.1",
  cpuModel: "fake",
  cpuCount: 4,
  memoryBytes: 8 * 2 ** 30,
  cgroupVersion: "v2" as const,
  notEnforced: [],
  agentVersion: "0.1.0",
});

/** Admits a host with a fresh key. */
export const enrol = async (
  scheduler: Pick<TestScheduler, "call">,
  id: string,
): Promise<{ readonly seed: Uint8Array; readonly enrolled: Enrolled }> => {
  const pair = nkeys.createUser();
  const answer = await scheduler.call("POST", "/v1/hosts", { id, publicKey: pair.getPublicKey() });
  if (answer.status !== 200) throw new Error(`not admitted: ${answer.text}`);
  return { seed: pair.getSeed(), enrolled: answer.body as Enrolled };
};

export const connectAs = (urls: readonly string[], id: string, seed: Uint8Array): Promise<NatsConnection> =>
  connect({
    servers: [...urls],
    authenticator: nkeyAuthenticator(seed),
    inboxPrefix: Subjects.inboxPrefix(id as HostId),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    ignoreAuthErrorAbort: true,
  });

/** It goes on until it is cancelled. */
const operationOf = (id: string, request: ImageRequest): ImageOperation => ({
  ...{ id, kind: request.kind, image: "image" in request ? request.image : null, state: "running", error: null },
  ...{ layers: [], result: null, revision: 1 },
});

export const startFakeAgent = async (
  scheduler: Pick<TestScheduler, "call">,
  options: FakeAgentOptions,
): Promise<FakeAgent> => {
  const { seed, enrolled } = await enrol(scheduler, options.id);
  const { id } = enrolled;
  const connection = await connectAs(enrolled.natsUrls, id, seed);
  const behave = options.behave ?? (() => ({ code: 0 }));
  const started: string[] = [];
  const rpcs: Rpc[] = [];
  const problems: string[] = [];
  const states = new Map<string, AllocationReport>();
  const operations = new Map((options.operations ?? []).map(([id, begun]) => [id, operationOf(id, begun)]));
  const unsent = new Map<string, AllocationReport>();
  let session = `session-${Math.random().toString(36).slice(2).padEnd(16, "0")}`;
  let document: DesiredDocument | undefined;
  let seq = 0;
  let gone = false;
  let closed = false;

  const open = (text: string): unknown => {
    const signed = decodeSigned(JSON.parse(text));
    if (!signed.ok) throw new Error("not a signed message");
    const { payload, signature } = signed.value;
    if (!verify(null, Buffer.from(payload), enrolled.clusterKey, Buffer.from(signature, "base64")))
      throw new Error("bad signature");
    return JSON.parse(payload);
  };

  const request = async (operation: string, body: unknown): Promise<Reply<unknown>> => {
    const message = await connection.request(`api.${id}.${operation}`, JSON.stringify(body), { timeout: 5_000 });
    return message.json<Reply<unknown>>();
  };

  let sending = false;
  const sendReports = async (): Promise<void> => {
    if (sending) return;
    sending = true;
    try {
      while (unsent.size > 0 && !gone && !closed) {
        const batchOf = [...unsent.values()].slice(0, MAX_REPORTS);
        const reply = await request("report", { session, allocations: batchOf }).catch(() => undefined);
        if (reply?.ok === true) {
          for (const report of batchOf) if (unsent.get(report.id) === report) unsent.delete(report.id);
        } else {
          if (reply?.ok === false) problems.push(reply.problem.code);
          if (reply?.ok === false && reply.problem.code === "host.unknown") await hello();
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    } finally {
      sending = false;
    }
  };

  const report = (allocation: string, state: AllocationReport["state"], code: number | null): void => {
    const value: AllocationReport = {
      id: allocation as AllocationReport["id"],
      state,
      reason: state === "exited" ? "exited" : "started",
      startedAtMs: Date.now(),
      exit:
        code === null
          ? null
          : {
              code,
              signal: null,
              oom: false,
              cause: code === 143 ? "stopped" : "exited",
              detail: null,
              startedAtMs: Date.now(),
              finishedAtMs: Date.now(),
            },
    };
    states.set(allocation, value);
    unsent.set(allocation, value);
    void sendReports();
  };

  const take = (next: DesiredDocument): void => {
    if (next.host !== id) return void problems.push("foreign document");
    const isNewer =
      document === undefined ||
      next.epoch > document.epoch ||
      (next.epoch === document.epoch && next.rev > document.rev);
    if (!isNewer) return;
    document = next;
    for (const allocation of next.allocations) {
      const known = states.get(allocation.id);
      const spec = next.specs[allocation.spec];
      if (spec === undefined) {
        problems.push(`no spec for ${allocation.id}`);
      } else if (allocation.desired === "stop") {
        if (known?.state !== "exited") report(allocation.id, "exited", 143);
      } else if (known === undefined) {
        started.push(allocation.id);
        const { code } = behave(allocation, spec);
        report(allocation.id, "running", null);
        if (code !== "forever") report(allocation.id, "exited", code);
      }
    }
  };

  const receive = (text: string): void => {
    const decoded = decodeDocument(open(text));
    if (decoded.ok) take(decoded.value);
    else problems.push(JSON.stringify(decoded.error));
  };

  const serveRpc = (message: Msg): void => {
    const decoded = decodeRpc(open(message.string()));
    if (!decoded.ok) return void problems.push("bad rpc");
    const { op } = decoded.value;
    rpcs.push(decoded.value);
    const files = options.files ?? new Map<string, Buffer>();
    if (op.kind === "list_outputs") {
      const names = [...files.keys()].filter((name) => name.startsWith(`${op.allocation}/out/`)).sort();
      const value = {
        files: names.map((name) => ({
          path: name.slice(op.allocation.length + 5),
          sizeBytes: files.get(name)?.length ?? 0,
        })),
        next: null,
      };
      return void message.respond(JSON.stringify({ ok: true, value }));
    }
    if (op.kind === "images") {
      const items = (options.images ?? []).map((image) => ({
        ...{ name: image, source: "import", manifest: `sha256:${"a".repeat(64)}`, sizeBytes: 1, layers: 1, uses: 0 },
        ...{ broughtAtMs: 1, usedAtMs: 1 },
      }));
      return void message.respond(JSON.stringify({ ok: true, value: { items, next: null } }));
    }
    if (op.kind === "image_operations") {
      const items = [...operations.values()].filter(({ state }) => state === "running");
      return void message.respond(JSON.stringify({ ok: true, value: { items } }));
    }
    if (op.kind === "image_start" || op.kind === "image_watch" || op.kind === "image_cancel") {
      if (op.kind === "image_start") operations.set(op.id, operationOf(op.id, op.request));
      const one = operations.get(op.id);
      if (one !== undefined && op.kind === "image_cancel") {
        operations.set(op.id, { ...one, state: "failed", error: "it was cancelled", revision: one.revision + 1 });
      }
      const value = operations.get(op.id);
      const problem = { type: "x", title: "x", status: 404, code: "operation.not_found", detail: `no ${op.id}` };
      return void message.respond(JSON.stringify(value === undefined ? { ok: false, problem } : { ok: true, value }));
    }
    if (op.kind === "layers") {
      const value = { items: options.layers ?? [], next: null };
      return void message.respond(JSON.stringify({ ok: true, value }));
    }
    if (op.kind === "layer_remove") return void message.respond(JSON.stringify({ ok: true, value: { removed: true } }));
    if (op.kind === "pause" || op.kind === "resume")
      return void message.respond(JSON.stringify({ ok: true, value: {} }));
    if (op.kind !== "read") return void problems.push(`unexpected rpc ${op.kind}`);
    const name =
      op.file.kind === "output" ? `${op.allocation}/out/${op.file.path}` : `${op.allocation}/${op.file.kind}`;
    const content = files.get(name);
    if (content === undefined) {
      const refused = { type: "x", title: "x", status: 404, code: "allocation.no_logs", detail: `no ${name}` };
      return void message.respond(JSON.stringify({ ok: false, problem: refused }));
    }
    const data = content.subarray(op.offset, op.offset + op.maxBytes);
    const done = states.get(op.allocation)?.state === "exited" && op.offset + data.length >= content.length;
    message.respond(
      JSON.stringify({
        ok: true,
        value: { data: data.toString("base64"), offset: op.offset, size: content.length, done },
      }),
    );
  };

  const hello = async (): Promise<Reply<Welcome>> => {
    const reply = (await request("hello", {
      version: 1,
      session,
      bootId: "boot",
      inventory: inventoryOf(id),
      ...(options.sealingKey !== undefined && { sealingKey: options.sealingKey }),
      capacity: capacityOf(options.cpuMillis ?? 4_000),
      epoch: document?.epoch ?? 0,
      rev: document?.rev ?? 0,
    })) as Reply<Welcome>;
    if (reply.ok) receive(JSON.stringify(reply.value.desired));
    return reply;
  };

  connection.subscribe(Subjects.desired(id), {
    callback: (_error, message) => void (gone || receive(message.string())),
  });
  connection.subscribe(Subjects.rpc(id), { callback: (_error, message) => void (gone || serveRpc(message)) });

  const beat = (): void => {
    if (gone || closed || connection.isClosed()) return;
    seq += 1;
    const running = [...states.values()].filter((one) => one.state === "running");
    connection.publish(
      Subjects.heartbeat(id),
      JSON.stringify({
        session,
        seq,
        epoch: document?.epoch ?? 0,
        rev: document?.rev ?? 0,
        digest: "",
        usage: { cpuMillis: 100, memoryBytes: 2 ** 20, pids: 10, load1: 0.5, uptimeMs: 1_000 },
        pressure: null,
        containers: Object.fromEntries(running.map((one) => [one.id, { cpuMillis: 1, memoryBytes: 2, pids: 3 }])),
      }),
    );
  };
  const beats = setInterval(beat, 200);

  /** What a real agent does as well: the hints on core subjects may be lost. */
  const resync = async (): Promise<void> => {
    if (gone || closed) return;
    const reply = await request("sync", { session, epoch: document?.epoch ?? 0, rev: document?.rev ?? 0 }).catch(
      () => undefined,
    );
    const value = reply?.ok === true ? (reply.value as { desired: unknown }) : undefined;
    if (value?.desired !== undefined && value.desired !== null) receive(JSON.stringify(value.desired));
    if (reply?.ok === false && reply.problem.code === "host.unknown") await hello().catch(() => undefined);
    void sendReports();
  };
  const syncs = setInterval(() => void resync(), 1_000);

  const welcome = await hello();
  if (!welcome.ok) throw new Error(`not welcome: ${welcome.problem.detail}`);
  beat();

  const agent: FakeAgent = {
    id,
    seed,
    connection,
    session: () => session,
    document: () => document,
    started,
    rpcs,
    problems,
    hello,
    request,
    vanish: () => {
      gone = true;
    },
    come: () => {
      gone = false;
      session = `${session.slice(0, 40)}-again`;
      void hello();
    },
    close: async () => {
      if (closed) return;
      closed = true;
      clearInterval(beats);
      clearInterval(syncs);
      await connection.close();
    },
  };
  afterTests(agent.close);
  return agent;
};
