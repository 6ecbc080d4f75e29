/**
 * Names of images, one sealed file each, called by the digest of the name. A record is written when everything that it
 * leads to is on disk, and removed before any of that is: whoever is killed in between leaves more than is named, never
 * less. Its time of change is when it was used last.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { Type, type Static, decoder, IMAGE_SOURCES } from "@berth/schema";
import { isMissing, readSealed, syncDirectory, writeSealed } from "../files/atomic-file.ts";

const RecordSchema = Type.Object({
  version: Type.Literal(1),
  name: Type.String(),
  /** Digest of its manifest, which lies among the blobs. */
  manifest: Type.String({ pattern: "^sha256:[0-9a-f]{64}$" }),
  /** Bottom first, as in the image's configuration. */
  diffIds: Type.Array(Type.String()),
  defaults: Type.Object({
    command: Type.Array(Type.String()),
    env: Type.Record(Type.String(), Type.String()),
    workdir: Type.String(),
    user: Type.String(),
    stopSignal: Type.Union([Type.Integer(), Type.Null()]),
    machine: Type.Optional(Type.Boolean()),
  }),
  /** Absent in records of older versions: from a registry. */
  source: Type.Optional(Type.Enum([...IMAGE_SOURCES])),
  /** Of one that was made from a container here: the image that its lower layers are of, which may have their archives. */
  base: Type.Optional(Type.String()),
  broughtAtMs: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type ImageRecord = Static<typeof RecordSchema>;
const decode = decoder(RecordSchema);

export interface KnownImage {
  readonly record: ImageRecord;
  readonly usedAtMs: number;
}

export interface Records {
  readonly read: (name: string) => Promise<ImageRecord | undefined>;
  readonly write: (record: ImageRecord) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
  /** It was used now. A failure to note that is no failure. */
  readonly touch: (name: string) => Promise<void>;
  /** All of them; files that cannot be read are named apart. */
  readonly list: () => Promise<{ readonly images: readonly KnownImage[]; readonly damaged: readonly string[] }>;
  readonly removeFile: (file: string) => Promise<void>;
  /** How often one was written or removed. */
  readonly changes: () => number;
}

export const openRecords = async (directory: string): Promise<Records> => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(directory)) {
    if (name.endsWith(".tmp")) await rm(join(directory, name), { force: true });
  }
  let changes = 0;
  /** By file, as they were read last: nobody else writes them, and every start of a container asks for one. */
  const known = new Map<string, ImageRecord>();
  const path = (name: string): string => join(directory, `${createHash("sha256").update(name).digest("hex")}.json`);
  const readFile = async (file: string): Promise<ImageRecord | undefined> => {
    const sealed = await readSealed(file);
    const decoded = sealed.kind === "value" ? decode(sealed.value) : undefined;
    return decoded?.ok === true ? decoded.value : undefined;
  };
  /** What is on disk then, also after a failure, is for the next reader to see, and not what one saw meanwhile. */
  const change = async (file: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } finally {
      changes += 1;
      known.delete(file);
    }
  };
  return {
    read: async (name) => {
      const file = path(name);
      const before = changes;
      const record = known.get(file) ?? (await readFile(file));
      if (record?.name !== name) return undefined;
      if (changes === before) known.set(file, record);
      return record;
    },
    write: (record) => {
      const file = path(record.name);
      return change(file, () => writeSealed(file, record, { durable: true }));
    },
    remove: async (name) => {
      await change(path(name), () => rm(path(name), { force: true }));
      await syncDirectory(directory);
    },
    touch: async (name) => {
      const now = new Date();
      await utimes(path(name), now, now).catch(() => undefined);
    },
    list: async () => {
      const images: KnownImage[] = [];
      const damaged: string[] = [];
      for (const name of (await readdir(directory)).filter((one) => one.endsWith(".json")).toSorted()) {
        const file = join(directory, name);
        try {
          const [record, { mtimeMs }] = await Promise.all([readFile(file), stat(file)]);
          if (record === undefined || path(record.name) !== file) damaged.push(name);
          else images.push({ record, usedAtMs: Math.floor(mtimeMs) });
        } catch (error) {
          if (!isMissing(error)) throw error;
        }
      }
      return { images: images.toSorted((a, b) => (a.record.name < b.record.name ? -1 : 1)), damaged };
    },
    removeFile: (file) => change(join(directory, file), () => rm(join(directory, file), { force: true })),
    changes: () => changes,
  };
};
