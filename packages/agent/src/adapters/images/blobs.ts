/**
 * Content by its digest: `blobs/sha256/<hex>`. A file of that name is complete and was verified; what is being fetched is
 * called `<hex>.part`, outlives a crash, and is continued where it ended. Costs one SHA-256 of what was fetched, and one
 * more of the old part when a download is continued.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Descriptor } from "../../core/images/manifest.ts";
import { SharedWork } from "../../core/shared-work.ts";
import { isMissing, syncDirectory } from "../files/atomic-file.ts";
import { writeAll } from "../files/write-all.ts";
import { digestOf } from "./registry.ts";
import { RegistryFailure } from "./registry-session.ts";

/** Bytes of a blob from `at` on. */
export type Source = (
  at: number,
  signal: AbortSignal,
) => Promise<{ readonly body: AsyncIterable<Uint8Array>; readonly restarted: boolean }>;

export interface Blobs {
  readonly path: (digest: string) => string;
  readonly has: (digest: string) => Promise<boolean>;
  /** A small blob, or undefined when it is not here. */
  readonly read: (digest: string) => Promise<Uint8Array | undefined>;
  /** Bytes that were checked already. */
  readonly put: (digest: string, bytes: Uint8Array) => Promise<void>;
  /** Fetches what is not here; concurrent calls for one digest share the work. `progress` gets bytes so far. */
  readonly fetch: (
    descriptor: Descriptor,
    source: Source,
    signal: AbortSignal,
    progress: (bytes: number) => void,
  ) => Promise<void>;
  /**
   * Bytes that come only once, whose digest is known or not; `size` is how many there must be, undefined for whatever
   * comes, up to `most`. Resolves to what it is.
   */
  readonly take: (
    body: AsyncIterable<Uint8Array>,
    expected: { readonly digest?: string; readonly size?: number; readonly most: number },
    progress?: (bytes: number) => void,
  ) => Promise<{ readonly digest: string; readonly size: number; readonly start: Uint8Array }>;
  readonly size: (digest: string) => Promise<number | undefined>;
  /** At most `most` bytes from `at` on; undefined when it is not here. */
  readonly piece: (
    digest: string,
    at: number,
    most: number,
  ) => Promise<{ readonly bytes: Uint8Array; readonly size: number } | undefined>;
  /** Digests of complete blobs, and how many beginnings of others there are. */
  readonly list: () => Promise<{ readonly whole: readonly string[]; readonly parts: readonly string[] }>;
  /** Reads it all and compares; undefined when it is what it is called, else what is wrong. */
  readonly verify: (digest: string, signal: AbortSignal) => Promise<string | undefined>;
  /** Bytes freed. */
  readonly remove: (digest: string) => Promise<number>;
  /** The beginning of a blob whose download was given up. */
  readonly removePart: (digest: string) => Promise<number>;
}

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 500;
const TAKING = ".taking-";

const hexOf = (digest: string): string => {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`${digest} is no digest`);
  return digest.slice("sha256:".length);
};

export const openBlobs = async (directory: string): Promise<Blobs> => {
  const root = join(directory, "sha256");
  await mkdir(root, { recursive: true, mode: 0o700 });
  const path = (digest: string): string => join(root, hexOf(digest));
  const has = async (digest: string): Promise<boolean> => (await sizeOf(path(digest))) !== undefined;
  const running = new SharedWork<void>();
  let taking = 0;
  /* What was being taken when a former life ended cannot be continued: it came once. */
  for (const name of await readdir(root)) {
    if (name.startsWith(TAKING) || name.endsWith(".new")) await rm(join(root, name), { force: true });
  }
  const removeFile = async (file: string): Promise<number> => {
    const size = (await sizeOf(file)) ?? 0;
    await rm(file, { force: true });
    return size;
  };

  const fetchOnce = async (
    descriptor: Descriptor,
    source: Source,
    signal: AbortSignal,
    progress: (bytes: number) => void,
  ): Promise<void> => {
    const part = `${path(descriptor.digest)}.part`;
    let at = Math.min((await sizeOf(part)) ?? 0, descriptor.size);
    let sum: Hash = createHash("sha256");
    if (at > 0) await hashFile(part, at, sum);
    const file = await open(part, at > 0 ? "r+" : "w", 0o600);
    try {
      /* All of it may be here, of a life that ended before it was named: a registry refuses to send the rest of that (416). */
      const { body, restarted } = at < descriptor.size ? await source(at, signal) : { body: [], restarted: false };
      if (restarted) {
        at = 0;
        sum = createHash("sha256");
      }
      for await (const bytes of body) {
        if (at + bytes.length > descriptor.size) {
          throw new RegistryFailure(`${descriptor.digest} is larger than the ${descriptor.size} bytes promised`, false);
        }
        sum.update(bytes);
        await writeAll(file, bytes, at);
        at += bytes.length;
        progress(at);
      }
      if (at < descriptor.size) {
        throw new RegistryFailure(`${descriptor.digest} ended after ${at} of ${descriptor.size} bytes`, true);
      }
      await file.truncate(at);
      const digest = `sha256:${sum.digest("hex")}`;
      if (digest !== descriptor.digest) {
        await rm(part, { force: true });
        throw new RegistryFailure(`${descriptor.digest} was sent with other content: ${digest}`, true);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path(descriptor.digest));
    await syncDirectory(root);
  };

  const fetchAgain = async (...args: Parameters<typeof fetchOnce>): Promise<void> => {
    const [descriptor, , signal] = args;
    for (let attempt = 1; ; attempt += 1) {
      const before = (await sizeOf(`${path(descriptor.digest)}.part`)) ?? 0;
      try {
        await fetchOnce(...args);
        return;
      } catch (error) {
        if (signal.aborted || !mayHelp(error)) throw error;
        const after = (await sizeOf(`${path(descriptor.digest)}.part`)) ?? 0;
        /* A line that drops every minute still gets there, as long as something arrives. */
        if (after > before) attempt = 1;
        if (attempt === ATTEMPTS) throw error;
        await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), undefined, { signal });
      }
    }
  };

  return {
    path,
    has,
    read: async (digest) => {
      try {
        return await readFile(path(digest));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    put: async (digest, bytes) => {
      if (digestOf(bytes) !== digest) throw new Error(`${digest} does not fit its content`);
      if (await has(digest)) return;
      const temporary = `${path(digest)}.${process.pid}.new`;
      await writeFile(temporary, bytes, { mode: 0o600, flush: true });
      await rename(temporary, path(digest));
    },
    fetch: (descriptor, source, signal, progress) =>
      running.run(descriptor.digest, signal, async (shared) => {
        if (!(await has(descriptor.digest))) await fetchAgain(descriptor, source, shared, progress);
      }),
    size: (digest) => sizeOf(path(digest)),
    piece: async (digest, at, most) => {
      try {
        const file = await open(path(digest), "r");
        try {
          const { size } = await file.stat();
          const bytes = Buffer.alloc(Math.min(most, Math.max(0, size - at)));
          const { bytesRead } = await file.read(bytes, 0, bytes.length, at);
          return { bytes: bytes.subarray(0, bytesRead), size };
        } finally {
          await file.close();
        }
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    take: async (body, expected, progress) => {
      const temporary = join(root, `${TAKING}${process.pid}-${(taking += 1)}`);
      const hash = createHash("sha256");
      const start: Uint8Array[] = [];
      let at = 0;
      try {
        const file = await open(temporary, "wx", 0o600);
        try {
          for await (const bytes of body) {
            if (at + bytes.length > expected.most) throw new Error(`it has more than ${expected.most} bytes`);
            if (at < 16) start.push(bytes.subarray(0, 16));
            hash.update(bytes);
            await writeAll(file, bytes, at);
            at += bytes.length;
            progress?.(at);
          }
          const digest = `sha256:${hash.digest("hex")}`;
          if (expected.size !== undefined && at !== expected.size) {
            throw new Error(`it has ${at} bytes, and ${expected.size} were announced`);
          }
          if (expected.digest !== undefined && digest !== expected.digest) {
            throw new Error(`${expected.digest} came with other content: ${digest}`);
          }
          await file.sync();
          await rename(temporary, path(digest));
          await syncDirectory(root);
          return { digest, size: at, start: Buffer.concat(start) };
        } finally {
          await file.close();
        }
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    },
    list: async () => {
      const names = await readdir(root);
      return {
        whole: names.filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => `sha256:${name}`),
        parts: names.filter((name) => /^[0-9a-f]{64}\.part$/.test(name)).map((name) => `sha256:${name.slice(0, 64)}`),
      };
    },
    verify: async (digest, signal) => {
      const hash = createHash("sha256");
      try {
        for await (const bytes of createReadStream(path(digest), { signal })) hash.update(bytes as Uint8Array);
      } catch (error) {
        if (signal.aborted) throw error;
        return error instanceof Error ? error.message : String(error);
      }
      const found = `sha256:${hash.digest("hex")}`;
      return found === digest ? undefined : `its content has the digest ${found}`;
    },
    remove: (digest) => removeFile(path(digest)),
    removePart: (digest) => removeFile(`${path(digest)}.part`),
  };
};

/** Errors of the registry say so themselves; those of a body in the middle are the line's. A full disk stays full. */
const mayHelp = (error: unknown): boolean => {
  if (error instanceof RegistryFailure) return error.retry;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code.startsWith("UND_ERR_") || ["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT"].includes(code);
};

const sizeOf = async (file: string): Promise<number | undefined> => {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
};

const hashFile = async (file: string, length: number, hash: Hash): Promise<void> => {
  for await (const bytes of createReadStream(file, { end: length - 1 })) hash.update(bytes as Uint8Array);
};
