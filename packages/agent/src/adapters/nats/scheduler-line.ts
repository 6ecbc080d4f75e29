/**
 * The line to the scheduler over NATS: one connection with the host's own key, kept for ever. The only file of the agent
 * that knows subjects. It decodes and encodes, and judges nothing.
 *
 * nats.js empties its buffer at every dial, so what was published while disconnected is lost without an error: heartbeats
 * are dropped knowingly, everything that matters is a request with an answer.
 */
import { readFile } from "node:fs/promises";
import {
  connect,
  ErrorCode,
  Events,
  headers,
  NatsError,
  nkeyAuthenticator,
  type ConnectionOptions,
  type Msg,
  type NatsConnection,
  type Subscription,
} from "nats";
import {
  Type,
  BLOB_CHUNK_BYTES,
  BLOB_SIZE_HEADER,
  decodeJson,
  decoder,
  err,
  ok,
  LeasedSchema,
  problem,
  FoundImageSchema,
  HeldKnownSchema,
  replySchema,
  ReportedSchema,
  SignedSchema,
  Subjects,
  SyncedSchema,
  WelcomeSchema,
  type BlobRequest,
  type Decoder,
  type HostId,
  type Problem,
  type Reply,
  type Result,
} from "@berth/schema";
import { errorFields, type Log } from "../../ports/log.ts";
import type { BlobPiece, LineHandlers, SchedulerLine } from "../../ports/line.ts";

export interface LineOptions {
  readonly host: HostId;
  readonly natsUrls: readonly string[];
  readonly seedFile: string;
  /** Who signs the server's certificate (PEM): with it nothing but TLS is spoken. */
  readonly ca?: string;
  readonly log: Log;
}

const REQUEST_TIMEOUT_MS = 5000;
/** Between first dials, with as much again at random: hosts that start together must not knock together. */
const REDIAL_MS = 1000;
/** Requests of the scheduler that may be answered at the same time; more are told to come back. */
const MAX_RPCS = 64;

const decodeSigned = decoder(SignedSchema);
const decodeWelcome = decoder(replySchema(WelcomeSchema));
const decodeReported = decoder(replySchema(ReportedSchema));
const decodeLeased = decoder(replySchema(LeasedSchema));
const decodeSynced = decoder(replySchema(SyncedSchema));
const decodeHeldKnown = decoder(replySchema(HeldKnownSchema));
const decodeFound = decoder(replySchema(FoundImageSchema));
const decodeRefused = decoder(replySchema(Type.Null()));
const encoder = new TextEncoder();
const text = new TextDecoder();

export const createSchedulerLine = (options: LineOptions): SchedulerLine => {
  const { host, log } = options;
  let handlers: LineHandlers | undefined;
  let connection: NatsConnection | undefined;
  let up = false;
  let closed = false;
  let rpcs = 0;
  let lastSequence: number | undefined;
  let refusedSince = false;
  let wakeRedial: () => void = () => undefined;

  const setUp = (now: boolean): void => {
    if (up === now) return;
    up = now;
    log.info({ up }, "line.changed");
    handlers?.onChange(now);
  };

  const send = async (subject: string, body: unknown): Promise<Result<Msg, Problem>> => {
    const line = connection;
    if (line === undefined || !up) return err(problem("cluster.unreachable", "the bus is not connected"));
    try {
      return ok(await line.request(subject, encoder.encode(JSON.stringify(body)), { timeout: REQUEST_TIMEOUT_MS }));
    } catch (error) {
      return err(requestProblem(subject, error));
    }
  };

  const request = async <T>(subject: string, body: unknown, decode: Decoder<Reply<T>>): Promise<Result<T, Problem>> => {
    const sent = await send(subject, body);
    if (!sent.ok) return sent;
    const answer = sent.value;
    const reply = decodeJson(decode, text.decode(answer.data), `the answer to ${subject}`);
    if (!reply.ok) return reply;
    return reply.value.ok ? { ok: true, value: reply.value.value } : err(reply.value.problem as Problem);
  };

  const readDesired = (message: Msg): void => {
    const sequence = Number(message.headers?.get("Nats-Sequence"));
    const previous = Number(message.headers?.get("Nats-Last-Sequence"));
    const afterGap = lastSequence !== undefined && Number.isSafeInteger(previous) && previous !== lastSequence;
    if (Number.isSafeInteger(sequence)) lastSequence = sequence;
    const signed = decodeJson(decodeSigned, text.decode(message.data), "a desired document");
    if (!signed.ok) log.error({ problem: signed.error }, "desired.malformed");
    else handlers?.onDesired(signed.value, afterGap);
  };

  /** Bytes carry their size in a header; a problem is JSON, as everywhere. */
  const readBlob = async (body: BlobRequest): Promise<Result<BlobPiece, Problem>> => {
    const sent = await send(Subjects.blob(host), body);
    if (!sent.ok) return sent;
    const said = sent.value.headers?.get(BLOB_SIZE_HEADER) ?? "";
    const size = Number(said);
    const bytes = sent.value.data;
    if (said !== "" && Number.isSafeInteger(size) && bytes.length <= BLOB_CHUNK_BYTES) return ok({ bytes, size });
    const reply = decodeJson(decodeRefused, text.decode(bytes), "the answer to a request for a blob");
    if (!reply.ok) return reply;
    return reply.value.ok
      ? err(problem("message.invalid", "a blob came without its size"))
      : err(reply.value.problem as Problem);
  };

  const answerRpc = async (message: Msg): Promise<void> => {
    const answer = (reply: Reply<unknown> | BlobPiece): void => {
      if ("ok" in reply) message.respond(encoder.encode(JSON.stringify(reply)));
      else {
        const head = headers();
        head.set(BLOB_SIZE_HEADER, String(reply.size));
        message.respond(reply.bytes, { headers: head });
      }
    };
    const signed = decodeJson(decodeSigned, text.decode(message.data), "a request");
    if (!signed.ok) {
      log.error({ problem: signed.error }, "rpc.malformed");
      answer({ ok: false, problem: signed.error });
    } else if (rpcs >= MAX_RPCS) {
      answer({
        ok: false,
        problem: problem("agent.unreachable", `${host} answers ${MAX_RPCS} requests already`, { retryAfterMs: 500 }),
      });
    } else if (handlers !== undefined) {
      rpcs += 1;
      try {
        answer(await handlers.onRpc(signed.value));
      } finally {
        rpcs -= 1;
      }
    }
  };

  const subscribe = (line: NatsConnection): void => {
    const each = (subject: string, take: (message: Msg) => void | Promise<void>): Subscription =>
      line.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) {
            log.error({ subject, error: errorFields(error) }, "line.subscription_failed");
            return;
          }
          Promise.resolve(take(message)).catch((failure: unknown) => {
            log.error({ subject, error: errorFields(failure) }, "line.message_failed");
          });
        },
      });
    each(Subjects.desired(host), readDesired);
    each(Subjects.rpc(host), answerRpc);
  };

  const follow = async (line: NatsConnection): Promise<void> => {
    for await (const status of line.status()) {
      if (status.type === Events.Disconnect) setUp(false);
      else if (status.type === Events.Reconnect) setUp(true);
      else if (status.type === Events.Error) log.warn({ detail: JSON.stringify(status.data) }, "line.error");
    }
  };

  const dial = async (): Promise<NatsConnection> => {
    const seed = (await readFile(options.seedFile, "utf8")).trim();
    const settings: ConnectionOptions = {
      servers: [...options.natsUrls],
      name: `berth-agent ${host}`,
      authenticator: nkeyAuthenticator(encoder.encode(seed)),
      inboxPrefix: Subjects.inboxPrefix(host),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
      reconnectJitter: 2000,
      // The host may be admitted while it is already knocking.
      ignoreAuthErrorAbort: true,
      pingInterval: 5000,
      maxPingOut: 2,
      timeout: 5000,
      // Only servers that were named: what a server says of others is not taken on trust.
      ignoreClusterUpdates: true,
      ...(options.ca === undefined ? {} : { tls: { ca: options.ca } }),
    };
    return await connect(settings);
  };

  /** One connection after the other: nats.js reconnects by itself; what it gives up is dialled anew. */
  const run = async (): Promise<void> => {
    while (!closed) {
      try {
        const line = await dial();
        connection = line;
        refusedSince = false;
        if (closed) {
          await line.close();
          return;
        }
        subscribe(line);
        // The subscriptions have reached the server before anything is asked: no announcement falls in between.
        await line.flush();
        setUp(true);
        void follow(line);
        const reason = await line.closed();
        if (reason !== undefined) log.error({ error: errorFields(reason) }, "line.closed");
      } catch (error) {
        if (!refusedSince) log.error({ error: errorFields(error) }, "line.connect_failed");
        refusedSince = true;
      }
      connection = undefined;
      setUp(false);
      if (closed) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, REDIAL_MS * (1 + Math.random()));
        wakeRedial = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };

  return {
    open: (given) => {
      handlers = given;
      void run();
    },
    isUp: () => up,
    hello: (hello) => request(Subjects.hello(host), hello, decodeWelcome),
    report: (report) => request(Subjects.report(host), report, decodeReported),
    sync: (sync) => request(Subjects.sync(host), sync, decodeSynced),
    held: (held) => request(Subjects.held(host), held, decodeHeldKnown),
    findImage: (find) => request(Subjects.image(host), find, decodeFound),
    readBlob,
    lease: (asked) => request(Subjects.lease(host), asked, decodeLeased),
    heartbeat: (heartbeat) => {
      if (up) connection?.publish(Subjects.heartbeat(host), encoder.encode(JSON.stringify(heartbeat)));
    },
    openSession: (id, onFrame) => {
      const on = connection;
      if (on === undefined || !up) return undefined;
      const subject = Subjects.sessionOut(host, id);
      const subscription = on.subscribe(Subjects.sessionIn(host, id), {
        callback: (error, message) => {
          if (error === null) onFrame(message.data);
          else log.error({ error: errorFields(error) }, "line.subscription_failed");
        },
      });
      return {
        send: (frame) => {
          if (!on.isClosed()) on.publish(subject, frame);
        },
        close: () => subscription.unsubscribe(),
      };
    },
    close: async () => {
      closed = true;
      wakeRedial();
      const line = connection;
      if (line === undefined) return;
      // A drain waits for the server; without one there is nothing to wait for.
      if (up) await line.drain().catch(() => undefined);
      else await line.close();
    },
  };
};

const requestProblem = (subject: string, error: unknown): Problem => {
  if (error instanceof NatsError && error.code === (ErrorCode.NoResponders as string)) {
    return problem("leader.unknown", `nobody answers ${subject}`);
  }
  return problem("cluster.unreachable", `${subject}: ${error instanceof Error ? error.message : String(error)}`);
};
