/**
 * Unpacks one layer archive (tar; plain, gzip, zstd or xz) into one empty directory, by a program that can reach nothing
 * else (src/unpack). Decides nothing about where layers are kept or what they are called.
 */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { unpackPath } from "./binding.ts";
import { nativeError } from "./errors.ts";
import type { NativeError } from "./types.ts";

export interface UnpackLimits {
  /** Of all files together, holes included. */
  readonly bytes: number;
  readonly entries: number;
  /** Components of one path. */
  readonly depth: number;
  /** Unpacked bytes per byte of the archive, for what exceeds 64 MiB. */
  readonly ratio: number;
}

/** Wide enough for every distribution; a bomb ends here. */
export const UNPACK_LIMITS: UnpackLimits = { bytes: 64 * 2 ** 30, entries: 2_000_000, depth: 256, ratio: 200 };

export type UnpackResult =
  | {
      readonly ok: true;
      /** sha256 of the archive without its compression, hexadecimal: the `diff_id` of the OCI image format. */
      readonly digest: string;
      readonly entries: number;
      readonly bytes: number;
      /** Device nodes and extended attributes that were left out. */
      readonly devicesSkipped: number;
      readonly xattrsSkipped: number;
    }
  | {
      readonly ok: false;
      readonly error: NativeError;
      /** The entry of the archive that it was about, or empty. */
      readonly entry: string;
    };

/**
 * `blob` is an open file at its start, `tree` an open empty directory of a file system with xattrs. The content is on
 * disk when this settles. After a failure the directory holds anything: delete it.
 */
export const unpackLayer = async (
  blob: number,
  tree: number,
  limits: UnpackLimits = UNPACK_LIMITS,
  signal?: AbortSignal,
): Promise<UnpackResult> => {
  const args = [limits.bytes, limits.entries, limits.depth, limits.ratio].map(String);
  const child = spawn(unpackPath, args, {
    stdio: [blob, "pipe", "pipe", tree],
    env: {},
    cwd: "/",
    ...(signal === undefined ? {} : { signal, killSignal: "SIGKILL" as const }),
  });
  const failed = new Promise<Error | undefined>((resolve) => {
    child.once("error", resolve);
    child.once("close", () => resolve(undefined));
  });
  const [line, complaint, error] = await Promise.all([read(child.stdout), read(child.stderr), failed]);
  if (error !== undefined) return refused("unpack.start", 0, error.message, "");
  const report = parseReport(line);
  if (report === undefined) {
    return refused("unpack", 0, `the unpacking program ended with ${JSON.stringify(complaint.slice(0, 200))}`, "");
  }
  return report.ok ? report : refused(report.stage, report.errno, report.detail, report.entry);
};

/** A program that could not be started has no pipes. */
const read = (stream: Readable | null): Promise<string> => (stream === null ? Promise.resolve("") : text(stream));

/** What the program prints: a success as it is, a failure in parts. */
type Report =
  | Extract<UnpackResult, { readonly ok: true }>
  | (Omit<NativeError, "code"> & { readonly ok: false; readonly entry: string });

/** Our own program wrote it; it may have been killed in the middle. */
const parseReport = (line: string): Report | undefined => {
  try {
    return JSON.parse(line) as Report;
  } catch {
    return undefined;
  }
};

const refused = (stage: string, errno: number, detail: string, entry: string): UnpackResult => ({
  ok: false,
  error: nativeError(stage, errno, entry === "" ? detail : `${entry}: ${detail}`),
  entry,
});
