/** `berth volume ACTION`: data of projects that outlives the tasks that use it. */
import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import {
  decoder,
  formatBytes,
  formatDuration,
  routePath,
  Routes,
  VolumeDetailSchema,
  VolumeRemovedSchema,
  VolumeViewSchema,
  type VolumeView,
} from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { listVolumes } from "../client/queries.ts";
import { Exit, Failure } from "../failure.ts";
import { say } from "../io.ts";
import { documentText, printDocument, printListing } from "../output/format.ts";
import type { Column } from "../output/table.ts";
import { registerVolumeExport, registerVolumeImport } from "./volume-archive.ts";
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

const decodeView = decoder(VolumeViewSchema);
const decodeDetail = decoder(VolumeDetailSchema);
const decodeRemoved = decoder(VolumeRemovedSchema);

const COPY_LOOK_MS = 1_000;

export const registerVolume: Register = (program, host) => {
  const volume = program
    .command("volume")
    .description("list, make, look at, copy, export, import and remove the volumes of a project")
    .usage("ACTION [options]");
  withExamples(volume, [
    ["berth volume ls", "which volumes are where, and who uses them"],
    ["berth volume rm data-0", "delete one, with its data"],
  ]);
  registerLs(volume, host);
  registerCreate(volume, host);
  registerInspect(volume, host);
  registerCopy(volume, host, "snapshot");
  registerCopy(volume, host, "clone");
  registerVolumeExport(volume, host);
  registerVolumeImport(volume, host);
  registerRm(volume, host);
};

/** Where it is; what is wrong with that, when something is. */
const hostText = ({ host, hostState }: VolumeView): string => (hostState === "ready" ? host : `${host} (${hostState})`);

const usersText = ({ usedBy }: VolumeView): string =>
  usedBy.length === 0
    ? "-"
    : usedBy.map(({ index, job, readOnly }) => `${job}[${index}]${readOnly ? " (reads)" : ""}`).join(", ");

const columnsAt = (nowMs: number): readonly Column<VolumeView>[] => [
  { title: "VOLUME", value: (one) => `${one.project}/${one.name}`, shrinkTo: 16 },
  { title: "STATE", value: (one) => one.state },
  { title: "HOST", value: hostText },
  { title: "SIZE", value: (one) => (one.sizeBytes === 0 ? "-" : formatBytes(one.sizeBytes)), align: "right" },
  { title: "USED BY", value: usersText, shrinkTo: 12 },
  { title: "AGE", value: (one) => formatDuration(Math.max(0, nowMs - one.createdAtMs)), align: "right" },
];

const wide: readonly Column<VolumeView>[] = [
  { title: "MADE BY", value: (one) => one.createdBy },
  { title: "COPY OF", value: (one) => one.from ?? "-" },
  { title: "ID", value: (one) => one.id },
];

const registerLs = (volume: Command, { io, finish }: Host): void => {
  const command = volume
    .command("ls")
    .description("list volumes, of all projects or of one")
    .addOption(new Option("-p, --project <name>", "of this project alone"))
    .addOption(new Option("--host <name>", "on this host alone"))
    .action(
      async (options: ConnectionOptions & FormatOptions & { readonly project?: string; readonly host?: string }) => {
        const { host, project } = options;
        const value = await listVolumes(clientOf(io, options), { host, project });
        await printListing(io, options.output, {
          ...{ document: value, rows: value.items, columns: columnsAt(io.nowMs()), wide },
          name: (one) => `${one.project}/${one.name}`,
          empty: "There are no volumes: the first task that mounts one makes it, or berth volume create",
        });
        finish(Exit.ok);
      },
    );
  withExamples(withConnection(withFormat(command)), [
    ["berth volume ls", "all of them"],
    ["berth volume ls --host cedar -o wide", "those of one host, with their ids"],
  ]);
};

interface CreateOptions extends ConnectionOptions, FormatOptions, ProjectOptions {
  readonly host?: string;
  readonly size?: string;
}

const registerCreate = (volume: Command, { io, finish }: Host): void => {
  const command = volume
    .command("create")
    .argument("<volume>")
    .description("make an empty volume before anything mounts it")
    .addOption(new Option("--host <name>", "there; default: where there is the best room"))
    .addOption(new Option("--size <size>", "booked on its host: 10Gi"))
    .action(async (name: string, { host, size, ...options }: CreateOptions) => {
      const { value } = await clientOf(io, options).post(decodeView, Routes.volumes, {
        ...{ project: options.project, name },
        ...(host === undefined ? {} : { host }),
        ...(size === undefined ? {} : { size }),
      });
      const text = () => `${value.project}/${value.name} is on ${value.host}\n`;
      await printDocument(io, options.output, { document: value, name: `${value.project}/${value.name}`, text });
      finish(Exit.ok);
    });
  withExamples(withConnection(withProject(withFormat(command))), [
    ["berth volume create data --size 10Gi", "on the host with the best room"],
    ["berth volume create data --host cedar", "on this one, without booking anything"],
  ]);
};

const registerInspect = (volume: Command, { io, finish }: Host): void => {
  const command = volume
    .command("inspect")
    .argument("<volume>")
    .description("everything that is known of one volume, as JSON")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["json", "yaml"]).default("json"))
    .action(
      async (name: string, options: ConnectionOptions & ProjectOptions & { readonly output: "json" | "yaml" }) => {
        const path = routePath(Routes.volume, { project: options.project, volume: name });
        const { value } = await clientOf(io, options).get(decodeDetail, path);
        await io.out.write(documentText(options.output, value));
        finish(Exit.ok);
      },
    );
  withExamples(withConnection(withProject(command)), [
    ["berth volume inspect data", "where it is, how much is in it, who uses it"],
    ["berth volume inspect data -p media -o yaml", "of another project"],
  ]);
};

const COPY_TEXTS = {
  snapshot: {
    description: "keep a volume as it is now: a copy that can only be read",
    examples: [
      ["berth volume snapshot data before-update", "while nobody writes it"],
      ["berth volume clone before-update data-again", "to go back to it"],
    ],
  },
  clone: {
    description: "copy a volume that nobody writes, on its host",
    examples: [
      ["berth volume clone data data-test", "a copy to try something with"],
      ["berth volume clone data data-test -p media", "of another project"],
    ],
  },
} as const;

const registerCopy = (volume: Command, { io, finish }: Host, kind: keyof typeof COPY_TEXTS): void => {
  const { description, examples } = COPY_TEXTS[kind];
  const command = volume
    .command(kind)
    .argument("<volume>")
    .argument("<copy>", "its name")
    .description(description)
    .action(async (name: string, copy: string, options: ConnectionOptions & ProjectOptions) => {
      const client = clientOf(io, options);
      const { project } = options;
      const path = routePath(Routes.volumeCopies, { project, volume: name });
      let { value } = await client.post(decodeView, path, { name: copy, snapshot: kind === "snapshot" });
      while (value.state === "filling") {
        await sleep(COPY_LOOK_MS, undefined, { signal: io.stop });
        const answer = await client.get(decodeDetail, routePath(Routes.volume, { project, volume: copy }));
        value = answer.value.volume;
      }
      if (value.state === "removing") {
        throw new Failure(`${project}/${name} could not be copied`, {
          exit: Exit.failed,
          next: ["berth events     (says why)"],
        });
      }
      await say(
        io,
        `${project}/${copy} is ${kind === "snapshot" ? "a snapshot" : "a clone"} of ${name}, on ${value.host}`,
      );
      finish(Exit.ok);
    });
  withExamples(withConnection(withProject(command)), examples);
};

const registerRm = (volume: Command, { io, finish }: Host): void => {
  const command = volume
    .command("rm")
    .argument("<volume...>")
    .description("delete volumes that nothing uses, with their data")
    .action(async (names: readonly string[], options: ConnectionOptions & ProjectOptions) => {
      const client = clientOf(io, options);
      for (const name of names) {
        const path = routePath(Routes.volumeRemove, { project: options.project, volume: name });
        const { value } = await client.post(decodeRemoved, path, {});
        const how =
          value.state === "removed" ? "is removed" : `is removed as soon as its host ${value.host} answers again`;
        await say(io, `${value.project}/${value.name} ${how}`);
      }
      finish(Exit.ok);
    });
  withExamples(withConnection(withProject(command)), [
    ["berth volume rm data-0 data-1", "both of them"],
    ["berth volume rm data -p media", "of another project"],
  ]);
};
