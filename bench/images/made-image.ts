/**
 * An image of a given size made from this machine's own /usr, so that it compresses and unpacks as programs and libraries
 * do: an OCI layout with a few gzip layers, given to a real registry by skopeo.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, lstatSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

export interface MadeImage {
  /** `HOST/REPOSITORY:TAG`. */
  readonly name: string;
  readonly layers: number;
  readonly files: number;
  /** Of all files together, and of all archives. */
  readonly plainBytes: number;
  readonly packedBytes: number;
}

const LAYERS = 5;
const MAX_FILE_BYTES = 16 * 2 ** 20;
/** Static: it runs whatever else is in the image. */
export const PROGRAM = "usr/bin/busybox";
const FROM = ["usr/bin", "usr/sbin", "usr/lib", "usr/share"];

interface Listed {
  readonly path: string;
  readonly bytes: number;
}

function* walk(path: string): Generator<Listed> {
  for (const entry of readdirSync(`/${path}`, { withFileTypes: true })) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(below);
    else if (entry.isSymbolicLink()) yield { path: below, bytes: 0 };
    else if (entry.isFile()) {
      const { size } = lstatSync(`/${below}`);
      if (size <= MAX_FILE_BYTES) yield { path: below, bytes: size };
    }
  }
}

/** Which files: chance, but the same on every run, so that a part of /usr is like the whole of it. */
const place = (path: string): string => createHash("sha256").update(path).digest("hex");

/** Files of about the same total for each layer, in the order of their names. */
const share = (bytes: number): Listed[][] => {
  const all = FROM.flatMap((path) => [...walk(path)].filter((file) => file.path !== PROGRAM)).map((file) => ({
    ...file,
    at: place(file.path),
  }));
  const layers: Listed[][] = [];
  let current: Listed[] = [{ path: PROGRAM, bytes: lstatSync(`/${PROGRAM}`).size }];
  let taken = 0;
  const end = (): void => {
    layers.push(current.toSorted((a, b) => (a.path < b.path ? -1 : 1)));
    current = [];
  };
  for (const file of all.toSorted((a, b) => (a.at < b.at ? -1 : 1))) {
    current.push(file);
    taken += file.bytes;
    if (taken >= (bytes / LAYERS) * (layers.length + 1)) end();
    if (layers.length === LAYERS) return layers;
  }
  end();
  return layers;
};

const counted = (hash: ReturnType<typeof createHash>): Transform =>
  new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
  });

interface Blob {
  readonly digest: string;
  readonly size: number;
}

const makeLayer = async (blobs: string, files: readonly Listed[], at: number): Promise<Blob & { diffId: string }> => {
  const list = join(blobs, `list-${at}`);
  const target = join(blobs, `layer-${at}`);
  writeFileSync(list, files.map(({ path }) => path).join("\0"));
  const words = ["-C", "/", "--owner=0", "--group=0", "--numeric-owner", "--null", "-T", list, "-cf", "-"];
  const tar = spawn("tar", words, { stdio: ["ignore", "pipe", "inherit"] });
  const plain = createHash("sha256");
  const packed = createHash("sha256");
  const ended = new Promise<number | null>((resolve) => tar.once("close", resolve));
  await pipeline(tar.stdout, counted(plain), createGzip({ level: 6 }), counted(packed), createWriteStream(target));
  if ((await ended) !== 0) throw new Error("tar could not read /usr");
  const hex = packed.digest("hex");
  renameSync(target, join(blobs, hex));
  execFileSync("rm", [list]);
  return { digest: `sha256:${hex}`, size: statSync(join(blobs, hex)).size, diffId: `sha256:${plain.digest("hex")}` };
};

export const makeImage = async (directory: string, registry: string, megabytes: number): Promise<MadeImage> => {
  const layout = join(directory, "layout");
  const blobs = join(layout, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (value: unknown): Blob => {
    const bytes = Buffer.from(JSON.stringify(value));
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const files = share(megabytes * 1e6);
  const layers = await Promise.all(files.map((list, at) => makeLayer(blobs, list, at)));
  const config = put({
    architecture: { x64: "amd64" }[arch() as string] ?? arch(),
    os: "linux",
    config: { Cmd: ["/bin/true"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created_by: "bench" })),
  });
  const type = "application/vnd.oci.image";
  const manifest = put({
    schemaVersion: 2,
    mediaType: `${type}.manifest.v1+json`,
    config: { mediaType: `${type}.config.v1+json`, ...config },
    layers: layers.map(({ digest, size }) => ({ mediaType: `${type}.layer.v1.tar+gzip`, digest, size })),
  });
  const entry = { mediaType: `${type}.manifest.v1+json`, ...manifest };
  const index = {
    schemaVersion: 2,
    manifests: [{ ...entry, annotations: { "org.opencontainers.image.ref.name": "1" } }],
  };
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  const name = `${registry}/bench:1`;
  const flags = ["--insecure-policy", "copy", "-q", "--dest-tls-verify=false"];
  execFileSync("skopeo", [...flags, `oci:${layout}:1`, `docker://${name}`], { stdio: ["ignore", "ignore", "inherit"] });
  return {
    name,
    layers: layers.length,
    files: files.flat().length,
    plainBytes: files.flat().reduce((sum, { bytes }) => sum + bytes, 0),
    packedBytes: layers.reduce((sum, { size }) => sum + size, 0),
  };
};
