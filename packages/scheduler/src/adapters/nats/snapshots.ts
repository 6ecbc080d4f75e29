/**
 * Snapshots in a stream of their own: chunks, and at last a manifest that names their number and SHA-256. A snapshot
 * without a manifest does not exist: whoever wrote it was killed, and the next one removes what is left of it.
 */
import { createHash, randomBytes } from "node:crypto";
import { DiscardPolicy, RetentionPolicy, StorageType, type JetStreamManager } from "nats";
import { Type, decodeJson, decoder, Streams } from "@berth/schema";
import type { SnapshotStore, StoredSnapshot } from "../../ports/snapshots.ts";
import { StartupProblem } from "../../ports/startup-problem.ts";
import type { BusConnection } from "./connection.ts";
import { isStreamNotFound, messageOf } from "./errors.ts";
import { bytesOf, textOf } from "./json.ts";

const { name: STREAM, subject, chunk, manifest, all, manifests } = Streams.snapshots;
const TIMEOUT_MS = 10_000;
const NAME = /^(\d{16})-[0-9a-f]{8}$/;

const decodeManifest = decoder(
  Type.Object(
    {
      version: Type.Literal(1),
      chunks: Type.Integer({ minimum: 1, maximum: 100_000 }),
      sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
    },
    { additionalProperties: false },
  ),
);

const sha256Of = (chunks: readonly Uint8Array[]): string => {
  const hash = createHash("sha256");
  for (const bytes of chunks) hash.update(bytes);
  return hash.digest("hex");
};

const nameOf = (revision: number): string => `${String(revision).padStart(16, "0")}-${randomBytes(4).toString("hex")}`;

const parseName = (text: string): StoredSnapshot | undefined => {
  const match = NAME.exec(text);
  return match === null ? undefined : { name: text, revision: Number(match[1]) };
};

const ensureStream = async (manager: JetStreamManager, replicas: number): Promise<void> => {
  try {
    await manager.streams.info(STREAM);
  } catch (error) {
    if (!isStreamNotFound(error)) throw error;
    await manager.streams.add({
      name: STREAM,
      subjects: [subject],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      num_replicas: replicas,
    });
  }
};

export const openSnapshotStore = async (bus: BusConnection, replicas: number): Promise<SnapshotStore> => {
  let manager: JetStreamManager;
  try {
    manager = await bus.nats.jetstreamManager({ timeout: TIMEOUT_MS });
    await ensureStream(manager, replicas);
  } catch (error) {
    throw new StartupProblem(`the store of snapshots cannot be opened: ${messageOf(error)}`, { cause: error });
  }
  const client = bus.nats.jetstream({ timeout: TIMEOUT_MS });

  const namesBy = async (filter: string): Promise<string[]> => {
    const { state } = await manager.streams.info(STREAM, { subjects_filter: filter });
    return Object.keys(state.subjects ?? {});
  };
  const list = async (): Promise<StoredSnapshot[]> =>
    (await namesBy(manifests))
      .map((found) => parseName(found.split(".")[1] ?? ""))
      .filter((found) => found !== undefined)
      .sort((left, right) => right.revision - left.revision || (left.name < right.name ? -1 : 1));

  const remove = async (name: string): Promise<void> => {
    // The manifest first: what is half gone must not look whole.
    await manager.streams.purge(STREAM, { filter: manifest(name) });
    await manager.streams.purge(STREAM, { filter: all(name) });
  };

  const messageAt = async (where: string): Promise<Uint8Array> =>
    (await manager.streams.getMessage(STREAM, { last_by_subj: where })).data;

  return {
    list,
    write: async (revision, chunks) => {
      const name = nameOf(revision);
      for (const [at, bytes] of chunks.entries()) await client.publish(chunk(name, at), bytes);
      const text = JSON.stringify({ version: 1, chunks: chunks.length, sha256: sha256Of(chunks) });
      await client.publish(manifest(name), bytesOf(text));
      return { name, revision };
    },
    read: async (name) => {
      const text = textOf(await messageAt(manifest(name)));
      const decoded = decodeJson(decodeManifest, text ?? "", `the manifest of snapshot ${name}`);
      if (!decoded.ok) throw new Error(decoded.error.detail);
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < decoded.value.chunks; at += 1) chunks.push(await messageAt(chunk(name, at)));
      if (sha256Of(chunks) !== decoded.value.sha256) throw new Error(`snapshot ${name} is damaged`);
      return chunks;
    },
    remove,
    sweep: async (revision) => {
      const whole = new Set((await list()).map(({ name }) => name));
      for (const found of (await namesBy(chunk("*", 0))).map((name) => parseName(name.split(".")[1] ?? ""))) {
        if (found !== undefined && found.revision < revision && !whole.has(found.name)) await remove(found.name);
      }
    },
  };
};
