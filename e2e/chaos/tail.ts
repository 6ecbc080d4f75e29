/**
 * Reads the log while it grows, with a connection of its own, and keeps every transaction: what is cut behind a snapshot
 * later has been seen before. Whatever was seen must stay as it was for as long as the server has it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect, nkeyAuthenticator, type JetStreamManager, type NatsConnection } from "nats";
import { Streams, type Transaction } from "@berth/schema";

export interface Entry {
  readonly sequence: number;
  readonly transaction: Transaction;
}

export interface TailOptions {
  readonly servers: readonly string[];
  /** Of the user that may do everything in the account. */
  readonly seed: string;
  /** PEM; undefined: the servers are plain. */
  readonly ca: string | undefined;
}

export interface Tail {
  /** From the first transaction on, without a gap. */
  readonly entries: () => readonly Entry[];
  /** Reads on to the end of the log as it is now, and looks again at everything that is still there. */
  readonly settle: () => Promise<string[]>;
  /** Every snapshot in the store that is whole, the newest first. */
  readonly snapshots: () => Promise<readonly { readonly name: string; readonly chunks: readonly Uint8Array[] }[]>;
  /** Damages the newest of several snapshots; rejects when there is only one. */
  readonly damageSnapshot: () => Promise<string>;
  readonly close: () => Promise<void>;
}

const EVERY_MS = 400;
const TIMEOUT_MS = 3_000;
const PATIENCE_MS = 90_000;
const LOG = Streams.log.name;
const SNAP = Streams.snapshots.name;

export const tailLog = async ({ servers, seed, ca }: TailOptions): Promise<Tail> => {
  const connection: NatsConnection = await connect({
    servers: [...servers],
    authenticator: nkeyAuthenticator(new TextEncoder().encode(seed.trim())),
    name: "berth-witness",
    maxReconnectAttempts: -1,
    waitOnFirstConnect: true,
    ignoreAuthErrorAbort: true,
    ignoreClusterUpdates: true,
    pingInterval: 2_000,
    maxPingOut: 2,
    reconnectTimeWait: 200,
    ...(ca === undefined ? {} : { tls: { ca } }),
  });
  const entries: Entry[] = [];
  const texts: string[] = [];
  const wrong: string[] = [];
  const damaged = new Set<string>();
  let going = true;
  let made: JetStreamManager | undefined;
  const manager = async (): Promise<JetStreamManager> =>
    (made ??= await connection.jetstreamManager({ timeout: TIMEOUT_MS }));
  const textAt = async (sequence: number): Promise<string> =>
    new TextDecoder().decode((await (await manager()).streams.getMessage(LOG, { seq: sequence })).data);

  const readOn = async (): Promise<void> => {
    const { state } = await (await manager()).streams.info(LOG);
    if (state.first_seq > entries.length + 1 && state.messages > 0) {
      wrong.push(`the witness was away too long: the log begins at ${state.first_seq}, it has read ${entries.length}`);
      going = false;
      throw new Error(wrong.at(-1));
    }
    while (entries.length < state.last_seq) {
      const sequence = entries.length + 1;
      const text = await textAt(sequence);
      texts.push(text);
      entries.push({ sequence, transaction: JSON.parse(text) as Transaction });
    }
  };
  const loop = (async () => {
    while (going) {
      // Servers that are down, or elect a leader, are asked again.
      await readOn().catch(() => undefined);
      await sleep(EVERY_MS);
    }
  })();

  const persistently = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (performance.now() > until) throw new Error(`${what}: ${String(error)}`, { cause: error });
        await sleep(EVERY_MS);
      }
    }
  };

  const names = async (): Promise<string[]> => {
    const { manifests } = Streams.snapshots;
    const { state } = await (await manager()).streams.info(SNAP, { subjects_filter: manifests });
    return Object.keys(state.subjects ?? {})
      .map((subject) => subject.split(".")[1] ?? "")
      .toSorted()
      .reverse();
  };
  const lastOf = async (subject: string): Promise<Uint8Array> =>
    (await (await manager()).streams.getMessage(SNAP, { last_by_subj: subject })).data;

  return {
    entries: () => entries,
    settle: async () => {
      going = false;
      await loop;
      await persistently("the log is read to its end", readOn);
      const again = await persistently("the log is read again", async () => {
        const { state } = await (await manager()).streams.info(LOG);
        if (state.last_seq < entries.length) return [`the log ends at ${state.last_seq}, ${entries.length} were seen`];
        const changed: string[] = [];
        for (let sequence = state.first_seq; sequence <= entries.length; sequence += 1) {
          if ((await textAt(sequence)) !== texts[sequence - 1]) changed.push(`transaction ${sequence} has changed`);
        }
        return changed;
      });
      return [...wrong, ...again];
    },
    snapshots: () =>
      persistently("the snapshots are read", async () => {
        const found: { name: string; chunks: Uint8Array[] }[] = [];
        for (const name of (await names()).filter((one) => !damaged.has(one))) {
          const manifest = JSON.parse(new TextDecoder().decode(await lastOf(Streams.snapshots.manifest(name)))) as {
            readonly chunks: number;
          };
          const chunks: Uint8Array[] = [];
          for (let at = 0; at < manifest.chunks; at += 1) chunks.push(await lastOf(Streams.snapshots.chunk(name, at)));
          found.push({ name, chunks });
        }
        return found;
      }),
    damageSnapshot: async () => {
      const [newest, second] = await names();
      if (newest === undefined || second === undefined) throw new Error("there are not two snapshots yet");
      // With the last good one gone, to refuse to start would be right.
      if (damaged.has(newest) || damaged.has(second)) throw new Error("one is damaged already");
      const subject = Streams.snapshots.chunk(newest, 0);
      const bytes = new Uint8Array(await lastOf(subject));
      const middle = bytes.length >> 1;
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      await connection.jetstream({ timeout: TIMEOUT_MS }).publish(subject, bytes);
      damaged.add(newest);
      return newest;
    },
    close: async () => {
      going = false;
      await loop;
      await connection.close();
    },
  };
};
