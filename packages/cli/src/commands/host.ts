/** `berth host ACTION HOST`: closes a host, opens it, empties it, removes it. */
import { setTimeout as sleep } from "node:timers/promises";
import { Argument, Option } from "commander";
import {
  decoder,
  DrainPlanSchema,
  HostViewSchema,
  RemovedSchema,
  routePath,
  Routes,
  taskName,
  type DrainPlan,
  type HostView,
} from "@berth/schema";
import type { Client } from "../client/client.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { Exit } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { createLive } from "../output/live.ts";
import { plural } from "./up.ts";
import { clientOf, withConnection, withExamples, type Register } from "./verb.ts";

const decodeHost = decoder(HostViewSchema);
const decodePlan = decoder(DrainPlanSchema);
const decodeRemoved = decoder(RemovedSchema);

const ACTIONS = ["cordon", "uncordon", "drain", "remove"] as const;
type Action = (typeof ACTIONS)[number];
const POLL_MS = 1_000;

interface HostOptions extends ConnectionOptions {
  readonly deadline?: string;
  readonly dryRun?: boolean;
  readonly detach?: boolean;
  readonly force?: boolean;
}

export const registerHost: Register = (program, { io, finish }) => {
  const command = program
    .command("host")
    .description("close, open, empty or remove a host")
    .addArgument(
      new Argument("<action>", "cordon also cancels a drain; remove revokes the host's key").choices([...ACTIONS]),
    )
    .argument("<host>", "its name, as `berth hosts` shows it")
    .addOption(new Option("--deadline <duration>", "drain: then what is left is stopped (30m; 0s at once; default 1h)"))
    .addOption(new Option("--dry-run", "drain: only show what would happen"))
    .addOption(new Option("-d, --detach", "drain: do not wait until the host is empty"))
    .addOption(new Option("--force", "remove: also a host that runs something"))
    .action(async (action: Action, host: string, options: HostOptions) => {
      finish(await act(io, clientOf(io, options), { action, host, options }));
    });
  withExamples(withConnection(command), [
    ["berth host drain h1 --deadline 30m", "shows the plan, moves services, lets batch tasks end"],
    ["berth host uncordon h1", "it takes work again"],
  ]);
};

interface Request {
  readonly action: Action;
  readonly host: string;
  readonly options: HostOptions;
}

const act = async (io: Io, client: Client, { action, host, options }: Request): Promise<number> => {
  const path = (route: string): string => routePath(route, { host });
  switch (action) {
    case "cordon": {
      const { value } = await client.post(decodeHost, path(Routes.hostCordon), {});
      await say(io, `${host} takes nothing new; ${plural(value.allocations, "task")} go on there`);
      return Exit.ok;
    }
    case "uncordon":
      await client.post(decodeHost, path(Routes.hostUncordon), {});
      await say(io, `${host} takes work again`);
      return Exit.ok;
    case "drain":
      return drain(io, client, host, options);
    case "remove": {
      const { value } = await client.post(decodeRemoved, path(Routes.hostRemove), { force: options.force === true });
      const rest = value.allocations > 0 ? `; ${plural(value.allocations, "task")} of it are placed anew` : "";
      await say(io, `${host} is removed and its key revoked${rest}`);
      return Exit.ok;
    }
  }
};

const stepLine = (step: DrainPlan["steps"][number]): string => {
  const task = `${step.project}/${taskName(step.job, step.index)}`;
  switch (step.kind) {
    case "move":
      return `  ${task}  moves to ${step.to ?? "another host"}`;
    case "finish":
      return `  ${task}  may end by itself until the deadline`;
    case "wait":
      return `  ${task}  waits: no other host has room for it now`;
    case "stop":
      return `  ${task}  stops when all others have left: it is a daemon`;
  }
};

const drain = async (io: Io, client: Client, host: string, options: HostOptions): Promise<number> => {
  const path = routePath(Routes.hostDrain, { host });
  const body = options.deadline === undefined ? {} : { deadline: options.deadline };
  const plan = await client.post(decodePlan, path, body, { query: { dryRun: "true" } });
  const { steps } = plan.value;
  await say(io, steps.length === 0 ? `${host} runs nothing` : `Draining ${host}, ${plural(steps.length, "task")}:`);
  for (const step of steps) await say(io, stepLine(step));
  if (options.dryRun === true) return Exit.ok;
  const { value } = await client.post(decodeHost, path, body);
  if (options.detach === true) {
    await say(io, `${host} is being drained; see: ${io.command} hosts`);
    return Exit.ok;
  }
  return followDrain(io, client, value);
};

const followDrain = async (io: Io, client: Client, first: HostView): Promise<number> => {
  const live = createLive(io.err);
  const { id } = first;
  let host = first;
  try {
    while (host.state === "draining" || host.state === "disconnected") {
      const silent = host.state === "disconnected" ? ", but does not answer now" : "";
      await live.show(`${id} still holds ${plural(host.allocations, "task")}${silent}`);
      await sleep(POLL_MS, undefined, { signal: io.stop });
      const seen = await client.get(decodeHost, routePath(Routes.host, { host: id }), {
        bridge: true,
        signal: io.stop,
      });
      host = seen.value;
    }
  } catch (error) {
    await live.clear();
    if (!io.stop.aborted) throw error;
    await say(io, `Stopped waiting; ${id} is being drained all the same. To cancel: ${io.command} host cordon ${id}`);
    return Exit.interrupted;
  }
  await live.clear();
  if (host.state === "cordoned") {
    await say(io, `${id} is empty and takes nothing new. To open it again: ${io.command} host uncordon ${id}`);
    return Exit.ok;
  }
  await say(io, `${id} is ${host.state} now; the drain did not come to its end`);
  return Exit.failed;
};
