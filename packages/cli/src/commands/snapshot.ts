/** `berth snapshot ACTION`: what a task wrote, kept under a name, gone back to, and tried elsewhere. */
import { Option, type Command } from "commander";
import {
  decoder,
  formatBytes,
  ImageOrdersSchema,
  routePath,
  Routes,
  SnapshotListSchema,
  SubmittedSchema,
  taskName,
} from "@berth/schema";
import { unname } from "../client/image-names.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { taskRef } from "../client/queries.ts";
import { Exit } from "../failure.ts";
import { say } from "../io.ts";
import { ago } from "../output/columns.ts";
import { printListing } from "../output/format.ts";
import { saySilent } from "../output/silent.ts";
import { followAndTell } from "./image-perform.ts";
import { sentenceOf } from "./run.ts";
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
const decodeList = decoder(SnapshotListSchema);
const decodeSubmitted = decoder(SubmittedSchema);

const TASK = "job for its first task, 'job[3]', or project/job";

type TaskOptions = ConnectionOptions & ProjectOptions & { readonly quiet?: boolean };

/** Of one snapshot, as an address names it. */
const placeOf = (task: string, project: string, snapshot: string) => ({ ...taskRef(task, project), snapshot });

export const registerSnapshot: Register = (program, host) => {
  const snapshot = program
    .command("snapshot")
    .description("keep what a paused or ended task wrote, go back to it, or start another job from it")
    .usage("ACTION [options]");
  withExamples(snapshot, [
    ["berth snapshot create web before", "keep it as it is, after berth pause web"],
    ["berth snapshot restore web before", "start the job from it again"],
    ["berth snapshot clone web before web-test", "a job beside it that starts there"],
  ]);
  registerCreate(snapshot, host);
  registerLs(snapshot, host);
  registerRestore(snapshot, host);
  registerClone(snapshot, host);
  registerRm(snapshot, host);
};

const registerCreate = (snapshot: Command, { io, finish }: Host): void => {
  const command = snapshot
    .command("create")
    .argument("<task>", `${TASK}, or an allocation's id; the last attempt when none runs`)
    .argument("[name]", "what it is called; default: by the time")
    .description("keep what a paused or ended task wrote")
    .option("-q, --quiet", "no progress")
    .action(async (task: string, name: string | undefined, options: TaskOptions) => {
      const client = clientOf(io, options);
      const id = await writerOf(client, task, options.project);
      const path = routePath(Routes.allocationSnapshots, { allocation: id });
      const { value } = await client.post(decodeOrders, path, name === undefined ? {} : { name });
      finish(await followAndTell(io, client, value, options));
    });
  withExamples(withProject(withConnection(command)), [
    ["berth snapshot create web before-update", "after berth pause web"],
    ["berth snapshot create 'web[2]'", "of one that has ended, called by the time"],
  ]);
};

const registerLs = (snapshot: Command, { io, finish }: Host): void => {
  const command = snapshot
    .command("ls")
    .description("list snapshots")
    .option("--host <name>", "only there")
    .option("-p, --project <name>", "only of this one")
    .action(
      async (options: ConnectionOptions & FormatOptions & { readonly host?: string; readonly project?: string }) => {
        const query = { host: options.host, project: options.project };
        const { value } = await clientOf(io, options).get(decodeList, Routes.snapshots, { query });
        await printListing(io, options.output, {
          document: value,
          rows: value.items.toSorted((a, b) => b.madeAtMs - a.madeAtMs),
          columns: [
            { title: "TASK", value: (one) => `${one.project}/${taskName(one.job, one.index)}`, shrinkTo: 12 },
            { title: "NAME", value: (one) => one.name },
            { title: "SIZE", value: (one) => formatBytes(one.sizeBytes), align: "right" },
            { title: "USES", value: (one) => String(one.uses), align: "right" },
            { title: "MADE", value: (one) => `${ago(io.nowMs(), one.madeAtMs)} ago` },
            { title: "HOST", value: (one) => one.host },
          ],
          wide: [{ title: "IMAGE", value: (one) => one.image }],
          name: (one) => one.image,
          empty:
            value.silent.length === 0
              ? "There are no snapshots: berth snapshot create TASK"
              : "No host that answers has a snapshot",
        });
        await saySilent(io, value);
        finish(Exit.ok);
      },
    );
  withExamples(withConnection(withFormat(command)), [
    ["berth snapshot ls", "of all projects that you see"],
    ["berth snapshot ls -o wide", "with the images that they are"],
  ]);
};

const registerRestore = (snapshot: Command, { io, finish }: Host): void => {
  const command = snapshot
    .command("restore")
    .argument("<task>", TASK)
    .argument("<name>")
    .description("start a job of one task from its snapshot: a new version of it")
    .action(async (task: string, name: string, options: TaskOptions) => {
      const path = routePath(Routes.snapshotRestore, placeOf(task, options.project, name));
      const { value } = await clientOf(io, options).post(decodeSubmitted, path, {});
      await say(io, sentenceOf(value));
      finish(Exit.ok);
    });
  withExamples(withProject(withConnection(command)), [
    ["berth snapshot restore web before-update", "what it wrote since is left behind"],
    ["berth run web.yaml", "leaves the snapshot again"],
  ]);
};

const registerClone = (snapshot: Command, { io, finish }: Host): void => {
  const command = snapshot
    .command("clone")
    .argument("<task>", TASK)
    .argument("<name>")
    .argument("<job>", "what the new job is called")
    .description("start another job, of one task, from a snapshot")
    .addOption(
      new Option("--volumes <which>", "of a job that mounts any: the same ones, or none").choices(["same", "none"]),
    )
    .action(
      async (
        task: string,
        name: string,
        job: string,
        options: TaskOptions & { readonly volumes?: "same" | "none" },
      ) => {
        const path = routePath(Routes.snapshotClone, placeOf(task, options.project, name));
        const body = { job, volumes: options.volumes };
        const { value } = await clientOf(io, options).post(decodeSubmitted, path, body);
        await say(io, sentenceOf(value));
        finish(Exit.ok);
      },
    );
  withExamples(withProject(withConnection(command)), [
    ["berth snapshot clone web before-update web-test", "to try something with it"],
    ["berth snapshot clone db nightly db-test --volumes none", "without the volumes of the job"],
  ]);
};

const registerRm = (snapshot: Command, { io, finish }: Host): void => {
  const command = snapshot
    .command("rm")
    .argument("<task>", TASK)
    .argument("<name>")
    .description("remove a snapshot from every host that has it")
    .option("-q, --quiet", "nothing when it succeeds")
    .action(async (task: string, name: string, options: TaskOptions) => {
      const client = clientOf(io, options);
      const path = routePath(Routes.snapshotRemove, placeOf(task, options.project, name));
      const { value } = await client.post(decodeOrders, path, {});
      const status = await followAndTell(io, client, value, options);
      const image = value.items.find(({ operation }) => operation !== null)?.operation?.image ?? null;
      if (status === Exit.ok && image !== null) await unname(client, image);
      finish(status);
    });
  withExamples(withProject(withConnection(command)), [
    ["berth snapshot rm web before-update", "of its first task"],
    ["berth snapshot rm 'web[2]' 20261129-160405 -p media", "of another project"],
  ]);
};
