/** `berth commit`, `berth export`, `berth layer`: what containers wrote, as images and archives, and what is kept of it. */
import type { Command } from "commander";
import {
  decoder,
  formatBytes,
  ImageOrdersSchema,
  LayerRemovedSchema,
  routePath,
  Routes,
  taskName,
} from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { listLayers } from "../client/queries.ts";
import { Exit, Failure } from "../failure.ts";
import { say } from "../io.ts";
import { writeArchive } from "../output/archive-file.ts";
import { printListing } from "../output/format.ts";
import { saySilent } from "../output/silent.ts";
import { ago } from "../output/columns.ts";
import { followAndTell } from "./image-perform.ts";
import { writerOf } from "./session-verb.ts";
import {
  clientOf,
  withConnection,
  withExamples,
  withFormat,
  withProject,
  type FormatOptions,
  type Host,
  type ProjectOptions,
  type Register,
} from "./verb.ts";

const decodeOrders = decoder(ImageOrdersSchema);
const decodeRemoved = decoder(LayerRemovedSchema);

interface ReadOptions extends ConnectionOptions, ProjectOptions {
  readonly pause: boolean;
  readonly quiet?: boolean;
}

const TASK = "job for its first task, 'job[3]', project/job, or an allocation's id; the last attempt when none runs";
const withPause = (command: Command): Command =>
  withProject(withConnection(command)).option("--no-pause", "let it go on: what it writes meanwhile may be half there");

export const registerCommit: Register = (program, { io, finish }) => {
  const command = program
    .command("commit")
    .argument("<task>", TASK)
    .argument("<image>", "its name: oci://local/PROJECT/NAME:TAG")
    .description("make an image of what a task has written over its own")
    .option("-q, --quiet", "no progress")
    .action(async (task: string, image: string, options: ReadOptions) => {
      const client = clientOf(io, options);
      const id = await writerOf(client, task, options.project);
      const path = routePath(Routes.allocationCommit, { allocation: id });
      const { value } = await client.post(decodeOrders, path, { image, pause: options.pause });
      finish(await followAndTell(io, client, value, options));
    });
  withExamples(withPause(command), [
    ["berth commit web oci://local/default/web:tried", "paused while it is read"],
    ["berth commit 'web[2]' oci://local/default/web:broken", "also when it has ended: see berth layer ls"],
  ]);
};

export const registerExport: Register = (program, { io, finish }) => {
  const command = program
    .command("export")
    .argument("<task>", TASK)
    .argument("<file>", "where to write the archive (tar); - for standard output")
    .description("write all files of a task's container into an archive")
    .action(async (task: string, file: string, options: ReadOptions) => {
      const client = clientOf(io, options);
      const id = await writerOf(client, task, options.project);
      const path = routePath(Routes.allocationRoot, { allocation: id });
      const query = options.pause ? {} : { pause: "false" };
      const body = await client.stream(path, { query, signal: io.stop, waitMs: 600_000 });
      await writeArchive(io, body, file, task);
      finish(Exit.ok);
    });
  withExamples(withPause(command), [
    ["berth export web web.tar", "as its container sees its files"],
    ["berth export web - --no-pause | tar -tv", "without pausing it"],
  ]);
};

export const registerLayer: Register = (program, host) => {
  const layer = program
    .command("layer")
    .description("list and remove what ended tasks wrote, which hosts keep for a while")
    .usage("ACTION [options]");
  withExamples(layer, [
    ["berth layer ls", "what is kept, of which tasks"],
    ["berth layer rm web", "of the last attempt of its first task"],
  ]);
  registerLs(layer, host);
  registerRm(layer, host);
};

const registerLs = (layer: Command, { io, finish }: Host): void => {
  const command = layer
    .command("ls")
    .description("list what is kept of ended tasks")
    .option("--host <name>", "only there")
    .option("-p, --project <name>", "only of this one")
    .action(
      async (options: ConnectionOptions & FormatOptions & { readonly host?: string; readonly project?: string }) => {
        const query = { host: options.host, project: options.project };
        const value = await listLayers(clientOf(io, options), query);
        const rows = value.items.toSorted((a, b) => b.layer.endedAtMs - a.layer.endedAtMs);
        await printListing(io, options.output, {
          document: value,
          rows,
          columns: [
            {
              title: "TASK",
              value: ({ layer: one }) => `${one.project}/${taskName(one.job, one.index)}`,
              shrinkTo: 12,
            },
            { title: "ALLOCATION", value: ({ layer: one }) => one.allocation },
            {
              title: "SIZE",
              value: ({ layer: one }) => (one.sizeBytes === null ? "" : formatBytes(one.sizeBytes)),
              align: "right",
            },
            { title: "ENDED", value: ({ layer: one }) => `${ago(io.nowMs(), one.endedAtMs)} ago` },
            { title: "HOST", value: (row) => row.host },
          ],
          wide: [{ title: "IMAGE", value: ({ layer: one }) => one.image }],
          name: (row) => row.layer.allocation,
          empty: "Nothing is kept: no task that ended lately has written anything over its image",
        });
        await saySilent(io, value);
        finish(Exit.ok);
      },
    );
  withExamples(withConnection(withFormat(command)), [
    ["berth layer ls", "of all projects that you see"],
    ["berth layer ls -o wide", "with the images they lie over"],
  ]);
};

const registerRm = (layer: Command, { io, finish }: Host): void => {
  const command = layer
    .command("rm")
    .argument("<task>", TASK)
    .description("remove what an ended task wrote")
    .action(async (task: string, options: ConnectionOptions & ProjectOptions) => {
      const client = clientOf(io, options);
      const allocation = await writerOf(client, task, options.project);
      const { value } = await client.post(decodeRemoved, routePath(Routes.layerRemove, { allocation }), {});
      if (!value.removed) {
        throw new Failure(`Nothing of ${task} is kept`, { exit: Exit.notFound, next: ["berth layer ls"] });
      }
      await say(io, `What ${allocation} wrote is gone`);
      finish(Exit.ok);
    });
  withExamples(withProject(withConnection(command)), [
    ["berth layer rm web", "of its last attempt"],
    ["berth layer rm 'web[2]' -p media", "of another project"],
  ]);
};
