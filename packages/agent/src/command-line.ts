/** The agent's flags, read and checked. Every mistake is one sentence that says what to write instead. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { err, ok, parseBytes, parseCpuMillis, type Result } from "@berth/schema";
import type { Share } from "./core/capacity.ts";
import type { AgentOptions } from "./run-agent.ts";

export const USAGE = `usage: berth-agent --host NAME --data-dir DIR --nats-url URL [--nats-url URL …] --seed-file FILE --cluster-key-file FILE
                   [--cpu 600m] [--memory 2Gi] [--pids N] [--id-base N] [--id-count N] [--cgroup-parent PATH]
                   [--log-level debug|info|warn|error] [--exit-with-parent]

  --cpu, --memory, --pids   the share of this machine that may be requested; default: all, minus a reserve for the host
  --id-base, --id-count     host user and group ids for containers, 65536 each
  --cgroup-parent           where containers' cgroups are made, below the root of each hierarchy
  --exit-with-parent        leave in order when stdin is closed; containers run on
`;

export interface CommandLine {
  readonly agent: AgentOptions;
  readonly exitWithParent: boolean;
}

const LEVELS = ["debug", "info", "warn", "error"];

const text = { type: "string" } as const;

export const parseCommandLine = (args: readonly string[]): Result<CommandLine, string> => {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      strict: true,
      options: {
        host: text,
        "data-dir": text,
        "nats-url": { ...text, multiple: true },
        "seed-file": text,
        "cluster-key-file": text,
        cpu: text,
        memory: text,
        pids: text,
        "id-base": text,
        "id-count": text,
        "cgroup-parent": text,
        "log-level": text,
        "exit-with-parent": { type: "boolean" },
      },
    }));
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
  const {
    host,
    "data-dir": dataDir,
    "nats-url": natsUrls,
    "seed-file": seedFile,
    "cluster-key-file": clusterKeyFile,
  } = values;
  for (const [flag, value] of Object.entries({
    host,
    "data-dir": dataDir,
    "nats-url": natsUrls,
    "seed-file": seedFile,
    "cluster-key-file": clusterKeyFile,
  })) {
    if (value === undefined || value.length === 0) return err(`--${flag} is missing`);
  }
  const share = shareOf(values);
  if (!share.ok) return share;
  const idBase = whole(values["id-base"], "--id-base");
  if (!idBase.ok) return idBase;
  const idCount = whole(values["id-count"], "--id-count");
  if (!idCount.ok) return idCount;
  const logLevel = values["log-level"];
  if (logLevel !== undefined && !LEVELS.includes(logLevel))
    return err(`--log-level must be one of ${LEVELS.join(", ")}`);
  return ok({
    exitWithParent: values["exit-with-parent"] ?? false,
    agent: {
      host: host ?? "",
      dataDir: resolve(dataDir ?? ""),
      natsUrls: natsUrls ?? [],
      seedFile: seedFile ?? "",
      clusterKeyFile: clusterKeyFile ?? "",
      share: share.value,
      ...(idBase.value === undefined ? {} : { idBase: idBase.value }),
      ...(idCount.value === undefined ? {} : { idCount: idCount.value }),
      ...(values["cgroup-parent"] === undefined ? {} : { cgroupParent: values["cgroup-parent"] }),
      ...(logLevel === undefined ? {} : { logLevel }),
    },
  });
};

const whole = (value: string | undefined, flag: string): Result<number | undefined, string> => {
  if (value === undefined) return ok(undefined);
  return /^\d{1,10}$/.test(value) ? ok(Number(value)) : err(`${flag} must be a whole number, not "${value}"`);
};

const shareOf = (values: {
  readonly cpu?: string;
  readonly memory?: string;
  readonly pids?: string;
}): Result<Share, string> => {
  const cpu = values.cpu === undefined ? ok(undefined) : parseCpuMillis(values.cpu);
  if (!cpu.ok) return err(`--cpu: ${cpu.error}`);
  const memory = values.memory === undefined ? ok(undefined) : parseBytes(values.memory);
  if (!memory.ok) return err(`--memory: ${memory.error}`);
  const pids = whole(values.pids, "--pids");
  if (!pids.ok) return pids;
  return ok({
    ...(cpu.value === undefined ? {} : { cpuMillis: cpu.value }),
    ...(memory.value === undefined ? {} : { memoryBytes: memory.value }),
    ...(pids.value === undefined ? {} : { pids: pids.value }),
  });
};
