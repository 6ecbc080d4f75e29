/**
 * A snapshot as bytes: lines of JSON. The first says what it is, the last how many lines there were and their SHA-256, so
 * that one which was cut short or damaged is never taken for a whole one:
 *
 *   header · secrets (only in a backup) · image lines · end
 *
 * The same bytes lie in the stream of snapshots, in the plain file beside it, and in a backup.
 */
import { createHash } from "node:crypto";
import { Type, type Static, decodeJson, decoder, err, ok, type Result } from "@berth/schema";
import { imageOf, type ClusterState, type ImageLine } from "../core/index.ts";

/** Raised when an older program could not read what a newer one writes, or would silently leave out some of it. */
const SNAPSHOT_VERSION = 6;
/** From this form on a host's line does not say what is reserved there: its allocations do. */
const WITHOUT_RESERVED = 5;
const CHUNK_BYTES = 256 * 1024;
const MAX_LINE_BYTES = 64 * 2 ** 20;

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });

const HeaderSchema = Type.Object(
  {
    berth: Type.Literal("snapshot"),
    version: Type.Integer({ minimum: 1 }),
    cluster: Type.String(),
    /** Which log it belongs to. */
    incarnation: Type.String(),
    revision: whole,
    epoch: whole,
    takenAtMs: whole,
    hosts: whole,
    jobs: whole,
    allocations: whole,
  },
  strict,
);
export type SnapshotHeader = Static<typeof HeaderSchema>;

const SecretsSchema = Type.Object(
  {
    kind: Type.Literal("secrets"),
    clusterKey: Type.String(),
    adminToken: Type.String(),
    /** Of the authority that hosts have learned to trust, if there is one. */
    tlsKey: Type.Optional(Type.String()),
    tlsCertificate: Type.Optional(Type.String()),
  },
  strict,
);
/** What a cluster cannot be made again from its log alone. */
export type SnapshotSecrets = Omit<Static<typeof SecretsSchema>, "kind">;

const EndSchema = Type.Object({ kind: Type.Literal("end"), lines: whole, sha256: Type.String() }, strict);

const decodeHeader = decoder(HeaderSchema);
const decodeSecrets = decoder(SecretsSchema);
const decodeEnd = decoder(EndSchema);

export interface EncodeOptions {
  readonly cluster: string;
  readonly incarnation: string;
  readonly nowMs: number;
  readonly secrets?: SnapshotSecrets;
}

/** Takes the image at once: what is folded afterwards is not in it. Chunks are of about 256 KiB. */
export const encodeSnapshot = (state: ClusterState, options: EncodeOptions): Uint8Array[] => {
  const chunks: Uint8Array[] = [];
  const hash = createHash("sha256");
  let pending: string[] = [];
  let pendingLength = 0;
  let lines = 0;
  const flush = (): void => {
    const chunk = Buffer.from(pending.join(""));
    hash.update(chunk);
    chunks.push(chunk);
    pending = [];
    pendingLength = 0;
  };
  const add = (line: unknown): void => {
    const text = `${JSON.stringify(line)}\n`;
    pending.push(text);
    pendingLength += text.length;
    lines += 1;
    if (pendingLength >= CHUNK_BYTES) flush();
  };
  const header: SnapshotHeader = {
    berth: "snapshot",
    version: SNAPSHOT_VERSION,
    cluster: options.cluster,
    incarnation: options.incarnation,
    revision: state.revision,
    epoch: state.epoch,
    takenAtMs: options.nowMs,
    hosts: state.hosts.size,
    jobs: state.jobs.size,
    allocations: state.allocations.size,
  };
  add(header);
  if (options.secrets !== undefined) add({ kind: "secrets", ...options.secrets });
  for (const line of imageOf(state)) add(line);
  flush();
  chunks.push(Buffer.from(`${JSON.stringify({ kind: "end", lines, sha256: hash.digest("hex") })}\n`));
  return chunks;
};

export interface DecodedSnapshot {
  readonly header: SnapshotHeader;
  readonly secrets: SnapshotSecrets | undefined;
  /** To be walked once. */
  readonly image: Iterable<ImageLine>;
}

function* linesOf(chunks: Iterable<Uint8Array>): Generator<Buffer> {
  let rest = Buffer.alloc(0);
  for (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(10, from); end >= 0; end = rest.indexOf(10, from)) {
      yield rest.subarray(from, end + 1);
      from = end + 1;
    }
    rest = rest.subarray(from);
    if (rest.length > MAX_LINE_BYTES) throw new Error("a line of it is too long");
  }
  if (rest.length > 0) yield rest;
}

const lineText = (line: Buffer): string => line.toString("utf8").trimEnd();

/** Ok when the last line proves all before it. Reads everything, keeps nothing. */
const verify = (chunks: Iterable<Uint8Array>): string | undefined => {
  const hash = createHash("sha256");
  let before: Buffer | undefined;
  let lines = 0;
  for (const line of linesOf(chunks)) {
    if (before !== undefined) {
      hash.update(before);
      lines += 1;
    }
    before = line;
  }
  const end = before === undefined ? undefined : decodeJson(decodeEnd, lineText(before), "the last line");
  if (end?.ok !== true) return "its last line is missing: it was cut short";
  if (end.value.lines !== lines || end.value.sha256 !== hash.digest("hex"))
    return "its checksum differs: it is damaged";
  return undefined;
};

/** A line of an older form, in the newest one. */
const upgraded = (line: ImageLine, version: number): ImageLine => {
  if (version >= WITHOUT_RESERVED || line.kind !== "host") return line;
  const { reserved: _reserved, ...facts } = line.facts as typeof line.facts & { readonly reserved?: unknown };
  return { ...line, facts };
};

function* imageLines(lines: Iterator<Buffer>, first: Buffer | undefined, version: number): Generator<ImageLine> {
  for (let line = first; line !== undefined; line = lines.next().value as Buffer | undefined) {
    const value = JSON.parse(lineText(line)) as ImageLine | { readonly kind: "end" };
    if (value.kind === "end") return;
    yield upgraded(value, version);
  }
}

/** An error is a sentence's end: "it …". Nothing is returned that the checksum does not cover. */
export const decodeSnapshot = (chunks: readonly Uint8Array[]): Result<DecodedSnapshot, string> => {
  const lines = linesOf(chunks);
  const first = lines.next().value as Buffer | undefined;
  const header = first === undefined ? undefined : decodeJson(decodeHeader, lineText(first), "the first line");
  if (header?.ok !== true) return err("it is not a snapshot of Berth");
  if (header.value.version > SNAPSHOT_VERSION) {
    return err(
      `a newer version of Berth has written it (form ${header.value.version}, this one reads ${SNAPSHOT_VERSION})`,
    );
  }
  const wrong = verify(chunks);
  if (wrong !== undefined) return err(wrong);
  const { version } = header.value;
  const second = lines.next().value as Buffer | undefined;
  const secrets = second === undefined ? undefined : decodeJson(decodeSecrets, lineText(second), "the second line");
  if (secrets?.ok !== true)
    return ok({ header: header.value, secrets: undefined, image: imageLines(lines, second, version) });
  const { kind: _kind, ...given } = secrets.value;
  return ok({
    header: header.value,
    secrets: given,
    image: imageLines(lines, lines.next().value as Buffer | undefined, version),
  });
};
