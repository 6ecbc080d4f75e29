/** Command line flags of the scheduler process. */
import { parseArgs } from "node:util";
import { err, isLabel, ok, parseBytes, parseDurationMs, type Result } from "@berth/schema";
import { DEFAULT_HEARTBEAT_MS, DEFAULT_LOST_AFTER_MS, type SchedulerOptions } from "./run-scheduler.ts";

export const USAGE = `Usage: node main.js --data-dir DIR [flags]

  --data-dir DIR          where state and secrets are kept (in DIR/scheduler)
  --cluster-name NAME     shown in the dashboard (default berth)
  --api-host HOST         address of the API and the dashboard (default 127.0.0.1); off loopback it is HTTPS
  --api-port PORT         its port, 0 for a free one (default 8640)
  --listen HOST           address for other machines: the API by HTTPS, what join lines name
  --listen-port PORT      its port, 0 for a free one (default 8641)
  --nats-host HOST        address of the embedded nats-server (default 127.0.0.1); off loopback it is TLS
  --nats-port PORT        its port, 0 for a free one (default 4640)
  --nats-advertise URL    what agents are told instead (repeatable)
  --nats-max-store SIZE   bound of what it keeps on disk (default 4Gi)
  --nats-url URL          use a running nats-server instead (repeatable)
  --nats-seed-file FILE   seed of the nkey user for it
  --nats-ca-file FILE     authority of its certificate: TLS, and nothing else
  --nats-replicas N       copies of each stream on it (default 1)
  --nats-users-file FILE  users of the account, written here for it to include
  --nats-pid-file FILE    of the server that includes it: told to reload
  --lost-after DURATION   a host that was silent for longer is lost (default 15s)
  --log-level LEVEL       trace, debug, info, warn, error, silent (default info)
  --exit-with-parent      stop in order when standard input ends
  --help`;

export interface Flags {
  readonly options: Omit<SchedulerOptions, "logger">;
  readonly logLevel: string;
  readonly exitWithParent: boolean;
  readonly help: boolean;
}

const LEVELS = ["trace", "debug", "info", "warn", "error", "silent"];

const portOf = (text: string, flag: string): Result<number, string> => {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port <= 65_535 ? ok(port) : err(`--${flag}: "${text}" is not a port`);
};

const parseRaw = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    options: {
      "data-dir": { type: "string" },
      "cluster-name": { type: "string", default: "berth" },
      "api-host": { type: "string", default: "127.0.0.1" },
      "api-port": { type: "string", default: "8640" },
      listen: { type: "string" },
      "listen-port": { type: "string", default: "8641" },
      "nats-host": { type: "string", default: "127.0.0.1" },
      "nats-port": { type: "string", default: "4640" },
      "nats-advertise": { type: "string", multiple: true, default: [] },
      "nats-max-store": { type: "string", default: "4Gi" },
      "nats-url": { type: "string", multiple: true, default: [] },
      "nats-seed-file": { type: "string" },
      "nats-ca-file": { type: "string" },
      "nats-users-file": { type: "string" },
      "nats-pid-file": { type: "string" },
      "nats-replicas": { type: "string", default: "1" },
      "lost-after": { type: "string", default: `${DEFAULT_LOST_AFTER_MS}ms` },
      "log-level": { type: "string", default: "info" },
      "exit-with-parent": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  }).values;

type Raw = ReturnType<typeof parseRaw>;

const busOf = (raw: Raw): Result<SchedulerOptions["bus"], string> => {
  const urls = raw["nats-url"];
  if (urls.length > 0) {
    const seedFile = raw["nats-seed-file"];
    if (seedFile === undefined) return err("--nats-url needs --nats-seed-file");
    const replicas = Number(raw["nats-replicas"]);
    if (![1, 3, 5].includes(replicas)) return err("--nats-replicas must be 1, 3 or 5");
    const { "nats-ca-file": caFile, "nats-users-file": usersFile, "nats-pid-file": serverPidFile } = raw;
    const advertise = raw["nats-advertise"];
    if (serverPidFile !== undefined && usersFile === undefined) return err("--nats-pid-file needs --nats-users-file");
    return ok({
      kind: "external",
      urls,
      seedFile,
      replicas,
      ...(caFile === undefined ? {} : { caFile }),
      ...(usersFile === undefined ? {} : { usersFile }),
      ...(serverPidFile === undefined ? {} : { serverPidFile }),
      ...(advertise.length === 0 ? {} : { advertise }),
    });
  }
  const port = portOf(raw["nats-port"], "nats-port");
  if (!port.ok) return port;
  const maxStoreBytes = parseBytes(raw["nats-max-store"]);
  if (!maxStoreBytes.ok) return err(`--nats-max-store: ${maxStoreBytes.error}`);
  if (maxStoreBytes.value < 2 ** 26) return err("--nats-max-store must be at least 64Mi");
  return ok({
    kind: "embedded",
    host: raw["nats-host"],
    port: port.value,
    advertise: raw["nats-advertise"],
    maxStoreBytes: maxStoreBytes.value,
  });
};

export const parseFlags = (args: readonly string[]): Result<Flags, string> => {
  let raw: Raw;
  try {
    raw = parseRaw(args);
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
  const bus = busOf(raw);
  if (!bus.ok) return bus;
  const port = portOf(raw["api-port"], "api-port");
  if (!port.ok) return port;
  const listenPort = portOf(raw["listen-port"], "listen-port");
  if (!listenPort.ok) return listenPort;
  const lostAfter = parseDurationMs(raw["lost-after"]);
  if (!lostAfter.ok) return err(`--lost-after: ${lostAfter.error}`);
  if (lostAfter.value < 2 * DEFAULT_HEARTBEAT_MS)
    return err(`--lost-after must be at least ${(2 * DEFAULT_HEARTBEAT_MS) / 1_000}s, two heartbeats`);
  if (!isLabel(raw["cluster-name"])) return err("--cluster-name must be lower-case letters, digits and dashes");
  if (!LEVELS.includes(raw["log-level"])) return err(`--log-level must be one of ${LEVELS.join(", ")}`);
  const dataDir = raw["data-dir"];
  if (dataDir === undefined && !raw.help) return err("--data-dir is missing");
  return ok({
    options: {
      dataDir: dataDir ?? "",
      clusterName: raw["cluster-name"],
      api: { host: raw["api-host"], port: port.value },
      ...(raw.listen === undefined ? {} : { listen: { host: raw.listen, port: listenPort.value } }),
      bus: bus.value,
      lostAfterMs: lostAfter.value,
    },
    logLevel: raw["log-level"],
    exitWithParent: raw["exit-with-parent"],
    help: raw.help,
  });
};
