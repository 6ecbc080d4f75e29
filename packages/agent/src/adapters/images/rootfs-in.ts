/**
 * Imports the root file system of a distribution, as mmdebstrap, debootstrap and the tarballs of distributions have it,
 * as an image of one layer whose program is its own init. The archive is kept as it is, in plain form; what is in it is
 * read here only to find the init, and unpacked by the jailed unpacker like any layer.
 */
import { createReadStream } from "node:fs";
import { arch } from "node:os";
import { parse } from "yaml";
import { initOf, isMachineName, MACHINE_LABEL } from "../../core/images/machine.ts";
import { decodeMetadata, isLeftOut, METADATA, ROOTFS, templatesNote, type LxcMetadata } from "../../core/images/lxc.ts";
import { architectureOf, MAX_DOCUMENT_BYTES } from "../../core/images/manifest.ts";
import type { ImportOptions } from "./archive-in.ts";
import { holdArchives } from "./collect.ts";
import { readContents, valueOf } from "./contents.ts";
import { PLAIN_LAYER, putDocuments } from "./documents.ts";
import { referenceOf } from "../../core/images/archive.ts";
import type { LetGo, Parts } from "./parts.ts";
import { settleImage } from "./pull.ts";
import { subtree } from "./subtree.ts";
import { tarEntries } from "./tar-entries.ts";

const MAX_INITTAB_BYTES = 65_536;

/** The init of the distribution in this plain archive. */
const findInit = async (file: string, maxEntries: number, signal: AbortSignal) => {
  const links = new Map<string, string>();
  const files = new Set<string>();
  let inittab = "";
  for await (const entry of tarEntries(createReadStream(file, { signal, highWaterMark: 1 << 20 }), maxEntries)) {
    const { path } = entry;
    if (entry.type === "symlink" && /(^|\/)init$/.test(path)) links.set(path, entry.link);
    if (entry.type === "hardlink" && /(^|\/)init$/.test(path)) files.add(path);
    if (entry.type === "file" && /(^|\/)(init|systemd)$/.test(path)) files.add(path);
    if (path === "etc/inittab" && entry.type === "file" && entry.size <= MAX_INITTAB_BYTES) {
      const parts: Uint8Array[] = [];
      for await (const part of entry.body) parts.push(part);
      inittab = Buffer.concat(parts).toString("utf8");
    }
  }
  return initOf(links, files, inittab);
};

const yamlOf = (content: Uint8Array): unknown => {
  try {
    return parse(Buffer.from(content).toString("utf8"), { maxAliasCount: 10 });
  } catch (error) {
    throw new Error(`${METADATA}: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : "it is no YAML"}`);
  }
};

/** A unified image of LXC or Incus: what is in its rootfs/, when its metadata says that it is for this machine. */
export const importUnified = async (
  parts: Parts,
  source: AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<string[]> => {
  const { limits } = await parts.settings();
  let metadata: LxcMetadata | undefined;
  const rootfs = subtree(source, {
    root: ROOTFS,
    isLeftOut,
    wanted: (path) => (path === METADATA ? MAX_DOCUMENT_BYTES : undefined),
    file: (_path, content) => {
      metadata = valueOf(decodeMetadata(yamlOf(content)), "the image");
      const own = architectureOf(arch());
      if (metadata.architecture !== own) {
        throw new Error(`the image is for ${metadata.architecture}, and this host is ${own}`);
      }
    },
    maxEntries: limits.entries,
  });
  const names = await importRootfs(parts, rootfs, options);
  const note = metadata === undefined ? undefined : templatesNote(metadata);
  if (note !== undefined) options.note?.(note);
  return names;
};

/** Resolves to the name of the machine image. */
export const importRootfs = async (
  parts: Parts,
  source: AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<string[]> => {
  const { progress, signal } = options;
  if (options.name === null) {
    throw new Error(
      "this is the root file system of a distribution, which has no name: give it one like local/debian:12",
    );
  }
  const name = valueOf(referenceOf(options.name), "the name");
  if (!isMachineName(name)) {
    throw new Error(`this is the root file system of a distribution: name it oci://local/… instead of ${name}`);
  }
  const { limits } = await parts.settings();
  const label = "rootfs";
  const taken = await parts.blobs.take(source, { most: limits.bytes }, (bytes) => {
    signal.throwIfAborted();
    progress.layer(label, "fetching", bytes, bytes);
  });
  progress.layer(label, "done", taken.size, taken.size);
  const pins: LetGo[] = [await holdArchives(parts, [taken.digest])];
  try {
    const machine = await findInit(parts.blobs.path(taken.digest), limits.entries, signal);
    if (machine === undefined) {
      throw new Error(
        "this root file system has no init (/sbin/init): install one in it, or import it as an image with a command",
      );
    }
    const config = Buffer.from(
      JSON.stringify({
        architecture: architectureOf(arch()),
        os: "linux",
        config: {
          Cmd: machine.command,
          Env: ["container=berth", "TERM=linux"],
          StopSignal: String(machine.stopSignal),
          Labels: { [MACHINE_LABEL]: machine.init },
        },
        rootfs: { type: "layers", diff_ids: [taken.digest] },
      }),
    );
    const layer = { mediaType: PLAIN_LAYER, digest: taken.digest, size: taken.size };
    const manifestDigest = await putDocuments(parts, config, [layer], pins);
    const contents = await readContents(parts, manifestDigest, name);
    await settleImage(
      parts,
      { name, manifestDigest, contents, source: "import" },
      async ({ digest }) => {
        if (!(await parts.blobs.has(digest))) throw new Error(`${digest} has vanished`);
      },
      options,
    );
    return [name];
  } finally {
    for (const letGo of pins) await letGo();
  }
};
