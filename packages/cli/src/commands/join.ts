/** `berth join LINE`: makes this machine a host of the cluster that the line is from, and keeps its agent running. */
import { mkdirSync, realpathSync } from "node:fs";
import { hostname } from "node:os";
import { join as joinPath } from "node:path";
import { Option } from "commander";
import { isLabel, parseJoinLine, type HostId, type JoinLine } from "@berth/schema";
import { DEFAULT_DATA_DIR, dataDirOf } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { startChild } from "../manager/child.ts";
import { AGENT_READY_MS, agentScript } from "../manager/cluster.ts";
import { findMembership, joinCluster, type Membership } from "../manager/join.ts";
import { acquireLock } from "../manager/lock.ts";
import { requireRoot } from "../manager/preflight.ts";
import { openRecords } from "../manager/records.ts";
import { furtherFlags, localHostId, permissionFlags } from "../manager/shares.ts";
import { hasSystemd, installUnit, renderUnit, UNIT } from "../manager/systemd.ts";
import { collectHostPath, networkOption, unconfinedOption, withExamples, type Register } from "./verb.ts";

interface JoinOptions {
  readonly host?: string;
  readonly dataDir?: string;
  readonly label?: readonly string[];
  readonly hostPath?: readonly string[];
  readonly unconfinedSeccomp?: boolean;
  readonly network?: Readonly<Record<string, number>>;
  readonly foreground?: boolean;
}

const AGENT_GRACE_MS = 15_000;
const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value];

export const registerJoin: Register = (program, { io, finish }) => {
  const command = program
    .command("join")
    .argument("<line>", "what `berth token create` printed")
    .description("make this machine a host of a cluster")
    .option("--host <name>", "what it shall be called (default: its own name)")
    .option("--data-dir <dir>", `where everything is kept (or BERTH_DATA_DIR; default ${DEFAULT_DATA_DIR})`)
    .addOption(
      new Option("--label <name=text>", "what rules of placement may ask of it (repeatable)").argParser(collect),
    )
    .addOption(
      new Option("--host-path <path>", "what of it jobs may mount: /srv/media, /usr/share:ro (repeatable)").argParser(
        collectHostPath as () => readonly string[],
      ),
    )
    .addOption(unconfinedOption("it"))
    .addOption(networkOption("this machine"))
    .option("--foreground", "run the agent here instead of as a service of systemd")
    .action(async (line: string, options: JoinOptions) => {
      finish(await join(io, line, options));
    });
  withExamples(command, [
    ["berth join berth1.…", "once per machine; the same line again does no harm"],
    ["berth join berth1.… --host web-1 --label rack=r1", "with a name and a label"],
  ]);
};

const readLine = (text: string): JoinLine => {
  const line = parseJoinLine(text);
  if (line.ok) return line.value;
  throw new Failure("This line cannot be used", { exit: Exit.usage, detail: line.error, next: ["berth token create"] });
};

const hostOf = (given: string | undefined): HostId => {
  const host = given ?? localHostId(hostname());
  if (isLabel(host)) return host as HostId;
  throw new Failure(`"${host}" cannot name a host`, {
    exit: Exit.usage,
    detail: "1 to 63 lower-case letters, digits and dashes",
    next: ["berth join LINE --host NAME"],
  });
};

const join = async (io: Io, text: string, options: JoinOptions): Promise<number> => {
  requireRoot(`${io.command} join LINE`);
  const line = readLine(text);
  const given = dataDirOf(options, io.env);
  mkdirSync(given, { recursive: true, mode: 0o711 });
  const dataDir = realpathSync(given);
  // Beside `berth up`, which runs hosts of its own in this directory, there is no place.
  const lock = acquireLock(dataDir);
  try {
    lock.note({ apiPort: 0, natsPort: 0 });
    const known = await findMembership(dataDir);
    if (known !== undefined && known.fingerprint !== line.fingerprint) throw belongsElsewhere(known, dataDir);
    if (known !== undefined && options.host !== undefined && options.host !== known.host) {
      throw belongsElsewhere(known, dataDir);
    }
    const membership =
      known === undefined
        ? await joinCluster(line, hostOf(options.host), dataDir, io.stop)
        : await renew(io, line, known, dataDir);
    if (known === undefined)
      await say(io, `This machine is host ${membership.host} of cluster ${membership.cluster} now`);
    const args = agentArguments(membership, options);
    if (options.foreground !== true && hasSystemd()) {
      await installUnit(renderUnit({ ...membership, command: [process.execPath, ...args] }));
      await say(io, `Its agent runs as ${UNIT}; containers go on when it is stopped`);
      return Exit.ok;
    }
    return await runHere(io, dataDir, membership, args);
  } finally {
    lock.release();
  }
};

/** Asks again, since the bus may have moved. What is known stands when the line is of no use any more. */
const renew = async (io: Io, line: JoinLine, known: Membership, dataDir: string): Promise<Membership> => {
  await say(io, `This machine is host ${known.host} of cluster ${known.cluster} already`);
  try {
    return await joinCluster(line, known.host as HostId, dataDir, io.stop);
  } catch (error) {
    if (!(error instanceof Failure) || (error.code !== "join.refused" && error.code !== "cluster.unreachable"))
      throw error;
    await say(io, `Nothing new was learned (${error.detail ?? error.message}); it goes on with what it knows`);
    return known;
  }
};

const belongsElsewhere = (known: Membership, dataDir: string): Failure =>
  new Failure("This machine belongs to a cluster already", {
    exit: Exit.forbidden,
    detail: `it is host ${known.host} of cluster ${known.cluster}`,
    next: [
      `berth host remove ${known.host}     (in that cluster)`,
      `berth down --data-dir ${dataDir} && rm -r ${known.directory}     (then here; its containers end)`,
    ],
  });

const agentArguments = (
  { directory }: Membership,
  { label = [], hostPath: hostPaths = [], unconfinedSeccomp = false, network = {} }: JoinOptions,
): string[] => [
  agentScript(),
  ...["--joined", directory],
  ...label.flatMap((label) => ["--label", label]),
  ...permissionFlags({ hostPaths, unconfinedSeccomp }),
  ...furtherFlags(network),
];

/** Until Ctrl-C; containers go on. */
const runHere = async (io: Io, dataDir: string, { host }: Membership, args: readonly string[]): Promise<number> => {
  const records = openRecords(dataDir);
  await records.endLeftOvers();
  const name = `host ${host}`;
  mkdirSync(joinPath(dataDir, "logs"), { recursive: true, mode: 0o700 });
  const { child } = await startChild(
    {
      name,
      command: process.execPath,
      args: [...args, "--exit-with-parent"],
      env: io.env,
      logFile: joinPath(dataDir, "logs", `agent-${host}.log`),
      readyTimeoutMs: AGENT_READY_MS,
    },
    {
      onProcess: (process) => records.remember(name, process),
      onDeath: (why, waitMs) => void say(io, `${name} ${why}; starting it again in ${Math.ceil(waitMs / 1_000)}s`),
      onReadyAgain: () => void say(io, `${name} is ready again`),
    },
  );
  await say(io, "Its agent runs here (systemd does not run on this machine); Ctrl-C stops it, containers go on");
  if (!io.stop.aborted)
    await new Promise<void>((resolve) => io.stop.addEventListener("abort", () => resolve(), { once: true }));
  await child.stop(AGENT_GRACE_MS);
  return Exit.ok;
};
