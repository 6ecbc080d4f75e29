/** `berth volume export|import`: what is in a volume, as a tar archive, and a new volume made of one. */
import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import {
  decoder,
  formatBytes,
  routePath,
  Routes,
  VolumeRemovedSchema,
  VolumeTakenSchema,
  VolumeViewSchema,
} from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { openUpload, type Piece, type Upload } from "../client/pieces.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { writeArchive } from "../output/archive-file.ts";
import { createSent } from "../output/sent.ts";
import { clientOf, withConnection, withExamples, withProject, type Host, type ProjectOptions } from "./verb.ts";

const decodeView = decoder(VolumeViewSchema);
const decodeTaken = decoder(VolumeTakenSchema);
const decodeRemoved = decoder(VolumeRemovedSchema);

/** A host that unpacks to a slow disk takes a piece when it has room for it. */
const PIECE_MS = 120_000;
const LOOK_MS = 500;

export const registerVolumeExport = (volume: Command, { io, finish }: Host): void => {
  const command = volume
    .command("export")
    .argument("<volume>")
    .argument("<file>", "where to write the archive; - for standard output")
    .description("write what is in a volume that nobody writes into a file (tar)")
    .action(async (name: string, file: string, options: ConnectionOptions & ProjectOptions) => {
      const { project } = options;
      const path = routePath(Routes.volumeArchive, { project, volume: name });
      const body = await clientOf(io, options).stream(path, { signal: io.stop, waitMs: 600_000 });
      await writeArchive(io, body, file, `${project}/${name}`);
      finish(Exit.ok);
    });
  withExamples(withConnection(withProject(command)), [
    ["berth volume export data data.tar", "with owners, modes, links and times"],
    ["berth volume export before-update - | zstd > data.tar.zst", "of a snapshot, while tasks write the volume"],
  ]);
};

interface ImportOptions extends ConnectionOptions, ProjectOptions {
  readonly host?: string;
  readonly size?: string;
  readonly quiet?: boolean;
}

export const registerVolumeImport = (volume: Command, { io, finish }: Host): void => {
  const command = volume
    .command("import")
    .argument("<volume>", "what the new volume is called")
    .argument("<file>", "an archive (tar; plain, gzip, zstd or xz); - for standard input")
    .description("make a volume of an archive")
    .addOption(new Option("--host <name>", "there; default: where there is the best room"))
    .addOption(new Option("--size <size>", "booked on its host, and the most that may be in the archive: 10Gi"))
    .addOption(new Option("-q, --quiet", "say nothing when all is well"))
    .action(async (name: string, file: string, options: ImportOptions) => {
      const client = clientOf(io, options);
      const { host, project, quiet = false, size } = options;
      const upload = await openUpload(io, file);
      try {
        const { value } = await client.post(decodeView, Routes.volumes, {
          ...{ project, name, import: true },
          ...(host === undefined ? {} : { host }),
          ...(size === undefined ? {} : { size }),
        });
        const sent = await fill(io, client, { project, name, id: value.id, upload, quiet });
        if (!quiet) await say(io, `${project}/${name} is on ${value.host}, of an archive of ${formatBytes(sent)}`);
        finish(Exit.ok);
      } finally {
        upload.close();
      }
    });
  withExamples(withConnection(withProject(command)), [
    ["berth volume import data data.tar --size 10Gi", "on the host with the best room"],
    ["zstd -dc data.tar.zst | berth volume import data - --host cedar", "on this one"],
  ]);
};

interface Filling {
  readonly project: string;
  readonly name: string;
  /** What is sent and what is cleaned up is of this one, whoever makes another of its name meanwhile. */
  readonly id: string;
  readonly upload: Upload;
  readonly quiet: boolean;
}

/** Resolves to bytes sent when all of it is there; whatever fails, or Ctrl-C, leaves nothing behind. */
const fill = async (io: Io, client: Client, filling: Filling): Promise<number> => {
  const { id, name, project, upload } = filling;
  const progress = createSent(io, { size: upload.size, quiet: filling.quiet });
  const send = async ({ data, last, offset }: Piece) => {
    const query = { id, offset, last: String(last) };
    const options = { query, waitMs: PIECE_MS, bridge: true, signal: io.stop };
    const path = routePath(Routes.volumeData, { project, volume: name });
    return (await client.send(decodeTaken, path, data, options)).value;
  };
  let sent = 0;
  try {
    for await (const piece of upload.pieces) {
      let taken = await send(piece);
      // What was the last one asks how far it is.
      while (piece.last && taken.state === "filling") {
        await sleep(LOOK_MS, undefined, { signal: io.stop });
        taken = await send(piece);
      }
      sent += piece.data.length;
      await progress.show(sent);
    }
    return sent;
  } catch (error) {
    await client
      .post(decodeRemoved, routePath(Routes.volumeRemove, { project, volume: name }), {}, { query: { id } })
      .catch((left: unknown) => {
        // It failed on its host as well, which has written that already.
        if (!(left instanceof Failure)) throw left;
      });
    throw error;
  } finally {
    await progress.clear();
  }
};
