/**
 * The log on a JetStream stream: file storage, no age limit, no deletion of single messages. Its configuration is read
 * back after creation, because a server silently drops what it does not know; one that differs is refused, never
 * repaired by deleting.
 */
import { crc32 } from "node:zlib";
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  nanos,
  RetentionPolicy,
  StorageType,
  createInbox,
  headers,
  type JetStreamClient,
  type JetStreamManager,
  type Msg,
  type StreamInfo,
} from "nats";
import { MAX_TRANSACTION_BYTES, readTransaction, Streams } from "@berth/schema";
import { UndecodableRecord, type AppendOutcome, type Log, type LogEntry } from "../../ports/log.ts";
import { StartupProblem } from "../../ports/startup-problem.ts";
import { isAtLeast, parseVersion } from "../embedded-nats/binary.ts";
import { parseAckSubject } from "./ack-subject.ts";
import type { BusConnection } from "./connection.ts";
import { isNotStored, isStreamNotFound, isWrongLastSequence, messageOf } from "./errors.ts";
import { bytesOf, textOf } from "./json.ts";
import { whileUp } from "./while-up.ts";

export interface LogOptions {
  readonly instance: string;
  readonly replicas: number;
  /** A log was here before: a missing stream is a loss, not a first start. */
  readonly mustExist: boolean;
  readonly appendTimeoutMs: number;
  /** A restored cluster: the log is new, and its first transaction has the sequence after that one. */
  readonly begin?: {
    readonly after: number;
    /** Restarts the server, if it is ours. */
    readonly restart: (() => Promise<void>) | undefined;
  };
}

const NAME = Streams.log.name;
const SUBJECT = Streams.log.subject;
const HEARTBEAT_MS = 2_000;
/** CRC-32 of the transaction's bytes, made by the writer and checked by every reader: the store is not taken at its word. */
const CHECKSUM = "Berth-Crc32";
const checksumOf = (bytes: Uint8Array): string => crc32(bytes).toString(16).padStart(8, "0");

const wantedConfig = (replicas: number) => ({
  name: NAME,
  subjects: [SUBJECT as string],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.New,
  max_age: 0,
  max_msgs: -1,
  max_bytes: -1,
  deny_delete: true,
  num_replicas: replicas,
  // Nothing is ever sent twice; this only bounds what the server remembers of message ids.
  duplicate_window: nanos(30_000),
});

/** Servers of 2.10 and newer are told at the stream's creation where it begins. */
const knowsFirstSequence = (bus: BusConnection): boolean => {
  const version = parseVersion(bus.serverVersion());
  return version !== undefined && isAtLeast(version, [2, 10, 0]);
};

/** Makes the empty log begin after `begin.after`. May be repeated. */
const moveBeginning = async (
  bus: BusConnection,
  manager: JetStreamManager,
  info: StreamInfo,
  begin: NonNullable<LogOptions["begin"]>,
): Promise<void> => {
  const { last_seq: last, messages } = info.state;
  if (messages > 0 || last > begin.after) {
    throw new StartupProblem(
      `a backup is to be restored, but the server holds a log of ${messages} transactions; restore into an empty store`,
    );
  }
  if (last === begin.after) return;
  if (begin.restart === undefined) {
    throw new StartupProblem(
      `nats-server ${bus.serverVersion()} cannot begin a log elsewhere than at 1; restore with 2.10 or newer, or into the embedded server`,
    );
  }
  // Emptying an empty stream up to a sequence moves its end there, but a running 2.9 goes on to expect the old one.
  await manager.streams.purge(NAME, { seq: begin.after + 1 });
  await begin.restart();
};

const ensureStream = async (bus: BusConnection, manager: JetStreamManager, options: LogOptions): Promise<void> => {
  const wanted = wantedConfig(options.replicas);
  let info: StreamInfo;
  try {
    info = await manager.streams.info(NAME);
  } catch (error) {
    if (!isStreamNotFound(error)) {
      throw new StartupProblem(`the log cannot be reached: ${messageOf(error)}; is JetStream enabled on the server?`, {
        cause: error,
      });
    }
    if (options.mustExist) {
      throw new StartupProblem(
        "the log that was here has vanished from the server; restore a backup (or the newest file of the directory snapshots) with: berth restore FILE; or, to accept the loss and start empty, remove log.state and snapshots from the scheduler's data directory",
      );
    }
    const { begin } = options;
    const firstSequence = begin !== undefined && knowsFirstSequence(bus) ? { first_seq: begin.after + 1 } : {};
    await manager.streams.add({ ...wanted, ...firstSequence });
    info = await manager.streams.info(NAME);
  }
  if (options.begin !== undefined) await moveBeginning(bus, manager, info, options.begin);
  const differing = Object.entries(wanted)
    .filter(([key]) => key !== "duplicate_window")
    .filter(
      ([key, value]) => JSON.stringify(info.config[key as keyof typeof info.config] ?? 0) !== JSON.stringify(value),
    )
    .map(([key]) => key);
  if (differing.length > 0) {
    throw new StartupProblem(
      `stream ${NAME} on the server is configured in another way (${differing.join(", ")}); it is not Berth's, or was changed by hand`,
    );
  }
};

const decodeEntry = ({ data, headers: said }: Msg, sequence: number): LogEntry => {
  const unreadable = (why: string): never => {
    throw new UndecodableRecord(`transaction ${sequence} of the log ${why}`);
  };
  const checksum = said?.get(CHECKSUM) ?? "";
  const text = textOf(data);
  // The first version of the log had none.
  const isWhole = checksum === "" ? text?.startsWith('{"version":1,') === true : checksum === checksumOf(data);
  if (!isWhole) unreadable("is damaged: its checksum differs; restore the store of the server, or a backup");
  const decoded = text === undefined ? undefined : readTransaction(text, `transaction ${sequence} of the log`);
  if (decoded?.ok === true) return { sequence, transaction: decoded.value };
  return unreadable(
    `cannot be read by this version: ${decoded?.error.detail ?? "it is not UTF-8"}; use the version that wrote it, or a newer one`,
  );
};

/**
 * An ordered push consumer by hand: no acks, kept in memory, gone with its reader. The server's heartbeats show that it
 * is alive; a missing delivery number ends the reading instead of repairing it, since the caller starts again anyway.
 */
async function* readEntries(
  bus: BusConnection,
  manager: JetStreamManager,
  fromSequence: number,
  signal: AbortSignal,
): AsyncGenerator<LogEntry> {
  const inbox = createInbox();
  const subscription = bus.nats.subscribe(inbox);
  const stop = (): void => subscription.unsubscribe();
  signal.addEventListener("abort", stop, { once: true });
  const stopListening = bus.onChange((up) => {
    if (!up) stop();
  });
  let lastSignMs = performance.now();
  const watchdog = setInterval(() => {
    if (performance.now() - lastSignMs > 3 * HEARTBEAT_MS) stop();
  }, HEARTBEAT_MS);
  let consumer: string | undefined;
  try {
    if (signal.aborted) return;
    const made = await manager.consumers.add(NAME, {
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: fromSequence,
      ack_policy: AckPolicy.None,
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      flow_control: true,
      idle_heartbeat: nanos(HEARTBEAT_MS),
      inactive_threshold: nanos(30_000),
    });
    consumer = made.name;
    let delivered = 0;
    for await (const message of subscription) {
      lastSignMs = performance.now();
      if (message.headers?.code === 100) {
        // Flow control asks for an answer; an idle heartbeat does not.
        if (message.reply !== undefined && message.reply !== "") message.respond();
        const stalled = message.headers.get("Nats-Consumer-Stalled");
        if (stalled !== "") bus.nats.publish(stalled);
        const last = message.headers.get("Nats-Last-Consumer");
        if (last !== "" && Number(last) > delivered) throw new Error("entries of the log were lost on the way");
        continue;
      }
      const delivery = parseAckSubject(message.reply ?? "");
      if (delivery?.consumerSequence !== delivered + 1) throw new Error("entries of the log were lost on the way");
      delivered += 1;
      yield decodeEntry(message, delivery.streamSequence);
    }
    if (!signal.aborted) throw new Error("reading the log was interrupted");
  } finally {
    clearInterval(watchdog);
    stopListening();
    signal.removeEventListener("abort", stop);
    stop();
    if (consumer !== undefined && bus.isUp()) void manager.consumers.delete(NAME, consumer).catch(() => {});
  }
}

export const openLog = async (bus: BusConnection, options: LogOptions): Promise<Log> => {
  const manager = await bus.nats.jetstreamManager({ timeout: 5_000 }).catch((error: unknown) => {
    throw new StartupProblem(`the server does not offer JetStream to Berth: ${messageOf(error)}`, { cause: error });
  });
  await ensureStream(bus, manager, options);
  const client: JetStreamClient = bus.nats.jetstream({ timeout: options.appendTimeoutMs });
  let appends = 0;

  return {
    end: async () => {
      const { state, created } = await manager.streams.info(NAME);
      const firstSequence = state.messages === 0 ? state.last_seq + 1 : state.first_seq;
      return { firstSequence, lastSequence: state.last_seq, incarnation: created, bytes: state.bytes };
    },
    purgeBefore: async (sequence) => {
      const { state } = await manager.streams.info(NAME);
      // Beyond its end the server would empty the log and move its end.
      if (sequence > state.last_seq) throw new Error(`the log ends at ${state.last_seq}, before ${sequence}`);
      if (sequence > state.first_seq) await manager.streams.purge(NAME, { seq: sequence });
    },
    read: (fromSequence, signal) => readEntries(bus, manager, fromSequence, signal),
    append: async (transaction, expectedLastSequence): Promise<AppendOutcome> => {
      const text = JSON.stringify(transaction);
      const bytes = bytesOf(text);
      if (bytes.length > MAX_TRANSACTION_BYTES) {
        return {
          kind: "rejected",
          reason: `the transaction has ${bytes.length} bytes, more than ${MAX_TRANSACTION_BYTES}`,
        };
      }
      if (!bus.isUp()) return { kind: "uncertain", reason: "the bus is down" };
      appends += 1;
      const said = headers();
      said.set(CHECKSUM, checksumOf(bytes));
      try {
        const ack = await whileUp(
          bus,
          client.publish(SUBJECT, bytes, {
            expect: { streamName: NAME, lastSequence: expectedLastSequence },
            // Unlike any other: a late delivery must never be taken for a repetition of this one.
            msgID: `${options.instance}:${expectedLastSequence + 1}:${appends}`,
            timeout: options.appendTimeoutMs,
            headers: said,
          }),
        );
        if (ack.duplicate || ack.seq !== expectedLastSequence + 1) {
          return { kind: "uncertain", reason: `acknowledged as ${ack.seq}, expected ${expectedLastSequence + 1}` };
        }
        return { kind: "appended", sequence: ack.seq };
      } catch (error) {
        if (isWrongLastSequence(error)) return { kind: "refused" };
        if (isNotStored(error)) return { kind: "rejected", reason: messageOf(error) };
        return { kind: "uncertain", reason: messageOf(error) };
      }
    },
  };
};
