/** The agent's flags, read and checked. Every mistake is one sentence that says what to write instead. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  DIMENSIONS,
  err,
  FURTHER_DIMENSION,
  MAX_DEVICES,
  MAX_HOST_PATHS,
  ok,
  parseAllowedPath,
  parseBytes,
  parseCpuMillis,
  parseNetwork,
  PORTS,
  type AllowedPath,
  type PortRange,
  type Result,
} from "@berth/schema";
import type { Share } from "./core/capacity.ts";
import { parseNamedDevice, type NamedDevice } from "./core/devices.ts";
import type { AgentOptions } from "./run-agent.ts";

export const USAGE = `usage: berth-agent --joined DIR [flags]     on a machine that joined with \`berth join\`, whose data directory is DIR
       berth-agent --host NAME --data-dir DIR --nats-url URL [--nats-url URL …] --seed-file FILE --cluster-key-file FILE
                   [--cpu 600m] [--memory 2Gi] [--pids N] [--label NAME=TEXT …] [--resource NAME=N …] [--device KIND:ID[@MODEL]=PATH,… …]
                   [--network RATE] [--ports FIRST-LAST] [--pinning] [--host-path PATH …] [--unconfined-seccomp]
                   [--id-base N] [--id-count N] [--cgroup-parent PATH]
                   [--nats-ca-file FILE] [--standby N] [--log-level debug|info|warn|error] [--exit-with-parent]

  --cpu, --memory, --pids   the share of this machine that may be requested; default: all, minus a reserve for the host
  --label                   what rules of placement may ask of this host, as host.labels.NAME
  --resource                what else may be requested here: gpu=2, diskBytes=107374182400
  --device                  what tasks may ask for whole or in shares: gpu:0@A100=/dev/nvidia0,/dev/nvidiactl; NVIDIA's are found
                            by themselves
  --network                 bandwidth of its link: 1G, ingress=1G,egress=200M or none; default: what the kernel says of the
                            interface of the default route; nothing with --cpu, --memory or --pids, which make it a share
  --ports                   numbers that are given to tasks which ask for any port; default: 20000-29999
  --pinning                 tasks may ask for whole CPUs of one NUMA cell
  --host-path               what of this machine jobs may mount, with all below it: /srv/media, /usr/share:ro (read-only),
                            PROJECT=/srv/photos (for that project alone); default: nothing
  --unconfined-seccomp      jobs of projects that may do without the filter of system calls run here, if they ask for it;
                            default: every container has the filter
  --nats-ca-file            who signs the certificate of the bus: with it nothing but TLS is spoken
  --id-base, --id-count     host user and group ids for containers, 65536 each
  --cgroup-parent           where containers' cgroups are made, below the root of each hierarchy
  --standby                 prepared supervisors that wait for a start, about 0.3 MiB each; 0 to 64, default 4
  --exit-with-parent        leave in order when stdin is closed; containers run on
`;

export interface CommandLine {
  readonly agent: AgentOptions;
  /** Where the rest of the options is: see readJoined. */
  readonly joined: string | undefined;
  readonly exitWithParent: boolean;
}

/** As the runtime has it. */
const MAX_STANDBY = 64;

const LEVELS = ["debug", "info", "warn", "error"];

const text = { type: "string" } as const;

export const parseCommandLine = (args: readonly string[]): Result<CommandLine, string> => {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      strict: true,
      options: {
        joined: text,
        host: text,
        "data-dir": text,
        "nats-url": { ...text, multiple: true },
        "seed-file": text,
        "cluster-key-file": text,
        "nats-ca-file": text,
        cpu: text,
        memory: text,
        pids: text,
        label: { ...text, multiple: true },
        resource: { ...text, multiple: true },
        network: text,
        ports: text,
        device: { ...text, multiple: true },
        pinning: { type: "boolean" },
        "host-path": { ...text, multiple: true },
        "unconfined-seccomp": { type: "boolean" },
        "id-base": text,
        "id-count": text,
        "cgroup-parent": text,
        standby: text,
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
  const { joined } = values;
  const needed = {
    host,
    "data-dir": dataDir,
    "nats-url": natsUrls,
    "seed-file": seedFile,
    "cluster-key-file": clusterKeyFile,
  };
  for (const [flag, value] of Object.entries(needed)) {
    if (joined !== undefined) {
      if (value !== undefined) return err(`--${flag} cannot be given with --joined, which says it`);
    } else if (value === undefined || value.length === 0) return err(`--${flag} is missing`);
  }
  const share = shareOf(values);
  if (!share.ok) return share;
  const labels = pairsOf("--label", values.label, LABEL_NAME, /^.{0,128}$/u, "rack=r1");
  if (!labels.ok) return labels;
  const further = pairsOf("--resource", values.resource, new RegExp(FURTHER_DIMENSION, "u"), /^\d{1,15}$/, "gpu=2");
  if (!further.ok) return further;
  const taken = DIMENSIONS.find((dimension) => Object.hasOwn(further.value, dimension));
  if (taken !== undefined) return err(`--resource ${taken}: has a flag of its own, see --cpu, --memory and --pids`);
  if (Object.keys(further.value).length > MAX_NAMED) return err(`--resource is given more than ${MAX_NAMED} times`);
  const network = values.network === undefined ? ok({}) : parseNetwork(values.network);
  if (!network.ok) return err(`--network ${network.error}`);
  const twice = Object.keys(network.value).find((name) => Object.hasOwn(further.value, name));
  if (twice !== undefined) return err(`--resource ${twice}: is said by --network already`);
  const ports = values.ports === undefined ? undefined : portRange(values.ports);
  if (ports !== undefined && !ports.ok) return ports;
  if (Object.hasOwn(further.value, PORTS)) return err(`--resource ${PORTS}: has a flag of its own, see --ports`);
  const devices: NamedDevice[] = [];
  for (const one of values.device ?? []) {
    const named = parseNamedDevice(one);
    if (!named.ok) return err(`--device ${named.error}`);
    const { kind, id } = named.value;
    if (devices.some((other) => other.kind === kind && other.id === id))
      return err(`--device ${kind}:${id} is given twice`);
    devices.push(named.value);
  }
  if (devices.length > MAX_DEVICES) return err(`--device is given more than ${MAX_DEVICES} times`);
  const hostPaths: AllowedPath[] = [];
  for (const path of values["host-path"] ?? []) {
    const allowed = parseAllowedPath(path);
    if (!allowed.ok) return err(`--host-path ${allowed.error}`);
    hostPaths.push(allowed.value);
  }
  if (hostPaths.length > MAX_HOST_PATHS) return err(`--host-path is given more than ${MAX_HOST_PATHS} times`);
  const idBase = whole(values["id-base"], "--id-base");
  if (!idBase.ok) return idBase;
  const idCount = whole(values["id-count"], "--id-count");
  if (!idCount.ok) return idCount;
  const standby = whole(values.standby, "--standby");
  if (!standby.ok) return standby;
  if ((standby.value ?? 0) > MAX_STANDBY) return err(`--standby must be a whole number in 0..${MAX_STANDBY}`);
  const logLevel = values["log-level"];
  if (logLevel !== undefined && !LEVELS.includes(logLevel))
    return err(`--log-level must be one of ${LEVELS.join(", ")}`);
  return ok({
    exitWithParent: values["exit-with-parent"] ?? false,
    joined: joined === undefined ? undefined : resolve(joined),
    agent: {
      host: host ?? "",
      dataDir: resolve(dataDir ?? ""),
      natsUrls: natsUrls ?? [],
      seedFile: seedFile ?? "",
      clusterKeyFile: clusterKeyFile ?? "",
      ...(values["nats-ca-file"] === undefined ? {} : { natsCaFile: values["nats-ca-file"] }),
      share: share.value,
      labels: labels.value,
      devices,
      ...(ports !== undefined && { ports: ports.value }),
      pinning: values.pinning ?? false,
      hostPaths,
      unconfinedSeccomp: values["unconfined-seccomp"] ?? false,
      resources: {
        ...Object.fromEntries(Object.entries(further.value).map(([name, amount]) => [name, Number(amount)])),
        ...network.value,
      },
      ...(idBase.value === undefined ? {} : { idBase: idBase.value }),
      ...(idCount.value === undefined ? {} : { idCount: idCount.value }),
      ...(standby.value === undefined ? {} : { standby: standby.value }),
      ...(values["cgroup-parent"] === undefined ? {} : { cgroupParent: values["cgroup-parent"] }),
      ...(logLevel === undefined ? {} : { logLevel }),
    },
  });
};

/** The rest of what a host may name is for what is found: disk, network, ports, totals of devices. */
const MAX_NAMED = 12;

const portRange = (text: string): Result<PortRange, string> => {
  const [, first = 0, last = 0] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).map(Number);
  const isGood = first >= 1 && first <= last && last <= 65_535;
  return isGood ? ok({ first, last }) : err(`--ports ${text}: write it like 20000-29999, within 1-65535`);
};

const LABEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;

/** `NAME=VALUE` flags that may be given several times. */
const pairsOf = (
  flag: string,
  given: readonly string[] | undefined,
  name: RegExp,
  value: RegExp,
  example: string,
): Result<Record<string, string>, string> => {
  const pairs = new Map<string, string>();
  for (const pair of given ?? []) {
    const at = pair.indexOf("=");
    const [key, text] = [pair.slice(0, Math.max(0, at)), pair.slice(at + 1)];
    if (at < 0 || !name.test(key) || !value.test(text)) return err(`${flag} ${pair}: write it like ${example}`);
    if (pairs.has(key)) return err(`${flag} ${key} is given twice`);
    pairs.set(key, text);
  }
  return pairs.size > 64 ? err(`${flag} is given more than 64 times`) : ok(Object.fromEntries(pairs));
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
