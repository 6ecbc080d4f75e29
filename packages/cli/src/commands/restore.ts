/** `berth restore`: lays a backup into a data directory; the next `berth up` makes the cluster of it. */
import { DEFAULT_DATA_DIR, dataDirOf } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say } from "../io.ts";
import { readHolder } from "../manager/lock.ts";
import { requireRoot } from "../manager/preflight.ts";
import { plural } from "./up.ts";
import { withExamples, type Register } from "./verb.ts";

export const registerRestore: Register = (program, { io, finish }) => {
  const command = program
    .command("restore")
    .argument("<file>", "made by `berth backup`, or a file of the directory scheduler/snapshots")
    .description("make the cluster of a backup at the next start")
    .option("--data-dir <dir>", `of \`berth up\` (or BERTH_DATA_DIR; default ${DEFAULT_DATA_DIR})`)
    .action(async (file: string, options: { readonly dataDir?: string }) => {
      requireRoot(`${io.command} restore ${file}`);
      const dataDir = dataDirOf(options, io.env);
      refuseRunning(dataDir);
      const { prepareRestore } = await import("@berth/scheduler");
      const prepared = await prepareRestore(file, dataDir).catch((error: unknown) => {
        throw new Failure("Nothing was restored", {
          exit: Exit.data,
          detail: error instanceof Error ? error.message : String(error),
          next: ["berth backup FILE     (makes one, while the cluster runs)"],
          cause: error,
        });
      });
      const { cluster, hosts, jobs, replaces, takenAtMs } = prepared;
      await say(
        io,
        `The next start makes cluster ${cluster} of ${new Date(takenAtMs).toISOString()}: ${plural(hosts, "host")}, ${plural(jobs, "job")}.`,
      );
      if (replaces !== undefined) await say(io, `What is in ${replaces} now is moved aside into it, as replaced-….`);
      await say(io, `Containers that were started after the backup are stopped. Next: ${io.command} up`);
      finish(Exit.ok);
    });
  withExamples(command, [
    ["berth restore berth.backup", "then: berth up"],
    ["berth restore berth.backup --data-dir /srv/berth", "into another data directory"],
  ]);
};

const refuseRunning = (dataDir: string): void => {
  const holder = readHolder(dataDir);
  if (holder === undefined) return;
  throw new Failure("Berth is running", {
    exit: Exit.unavailable,
    detail: `\`berth up\` with pid ${holder.process.pid} uses ${dataDir}`,
    next: ["berth down", "berth restore FILE"],
  });
};
