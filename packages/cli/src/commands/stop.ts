/** `berth stop JOB`: no task of it shall run any more. Waits until none does. */
import { Option } from "commander";
import { routePath, Routes } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { decodeJob, jobRef } from "../client/queries.ts";
import { watchJob } from "../client/watch.ts";
import { Exit } from "../failure.ts";
import { say } from "../io.ts";
import { printDocument } from "../output/format.ts";
import { createProgress } from "../output/progress.ts";
import { endLine, isTerminalJob } from "../output/progress-text.ts";
import {
  clientOf,
  withConnection,
  withExamples,
  withFormat,
  withProject,
  type FormatOptions,
  type ProjectOptions,
  type Register,
} from "./verb.ts";

export const registerStop: Register = (program, { io, finish }) => {
  const command = program
    .command("stop")
    .description("stop a job and wait until none of its tasks runs")
    .argument("<job>", "job or project/job")
    .addOption(new Option("-d, --detach", "return as soon as it is accepted"))
    .action(
      async (
        text: string,
        options: ConnectionOptions & FormatOptions & ProjectOptions & { readonly detach?: boolean },
      ) => {
        const client = clientOf(io, options);
        const ref = jobRef(text, options.project);
        const answer = await client.post(
          decodeJob,
          routePath(Routes.jobStop, { project: ref.project, job: ref.job }),
          {},
        );
        let job = answer.value;
        const progress = createProgress(io);
        try {
          if (options.detach !== true && !isTerminalJob(job)) {
            const onOutage = (): void =>
              void progress.clear().then(() => say(io, "The cluster does not answer; trying again"));
            for await (const seen of watchJob(client, ref, { signal: io.stop, onOutage })) {
              job = seen;
              await progress.update(seen);
            }
          }
        } catch (error) {
          if (!io.stop.aborted) throw error;
          await progress.clear();
          await say(io, `Stopped waiting; ${job.name} is being stopped all the same`);
          finish(Exit.interrupted);
          return;
        }
        await progress.clear();
        await say(io, isTerminalJob(job) ? endLine(job) : `${job.name} is being stopped`);
        if (options.output !== "table" && options.output !== "wide") {
          await printDocument(io, options.output, {
            document: job,
            name: `${job.project}/${job.name}`,
            text: () => "",
          });
        }
        finish(Exit.ok);
      },
    );
  withExamples(withProject(withConnection(withFormat(command))), [
    ["berth stop ticker", "and wait until it is gone"],
    ["berth stop media/thumbs --detach", "without waiting"],
  ]);
};
