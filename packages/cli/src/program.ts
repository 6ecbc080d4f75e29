/** The command tree, and the one place where a command's end becomes an exit status and an error becomes text. */
import { Command, CommanderError } from "commander";
import { suggest } from "@berth/schema";
import { registerAccess } from "./commands/access.ts";
import { registerAttach } from "./commands/attach.ts";
import { registerAudit } from "./commands/audit.ts";
import { registerBackup } from "./commands/backup.ts";
import { registerCompletion } from "./commands/completion.ts";
import { registerDashboard } from "./commands/dashboard.ts";
import { registerCommit, registerExport, registerLayer } from "./commands/commit.ts";
import { registerDiff } from "./commands/diff.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerDown } from "./commands/down.ts";
import { registerEvents } from "./commands/events.ts";
import { registerExec } from "./commands/exec.ts";
import { registerHost } from "./commands/host.ts";
import { registerHosts } from "./commands/hosts.ts";
import { registerRebalance } from "./commands/rebalance.ts";
import { registerWhatIf } from "./commands/what-if.ts";
import { registerImage } from "./commands/image.ts";
import { registerJob } from "./commands/job.ts";
import { registerJoin } from "./commands/join.ts";
import { registerJobs } from "./commands/jobs.ts";
import { registerLogs } from "./commands/logs.ts";
import { registerOutputs } from "./commands/outputs.ts";
import { registerPause, registerResume } from "./commands/pause.ts";
import { registerPlan } from "./commands/plan.ts";
import { registerPs } from "./commands/ps.ts";
import { registerRestore } from "./commands/restore.ts";
import { registerRun } from "./commands/run.ts";
import { registerSnapshot } from "./commands/snapshot.ts";
import { registerStop } from "./commands/stop.ts";
import { registerToken } from "./commands/token.ts";
import { registerUp } from "./commands/up.ts";
import { ownVersion, registerVersion } from "./commands/version.ts";
import { registerProject } from "./commands/project.ts";
import { registerSecret } from "./commands/secret.ts";
import { registerVolume } from "./commands/volume.ts";
import { registerWhy } from "./commands/why.ts";
import type { Host, Register } from "./commands/verb.ts";
import { Exit, Failure } from "./failure.ts";
import type { Io } from "./io.ts";
import { renderFailure } from "./output/error.ts";

/** In the order of the help: first the cluster, then the work, then how to look at both. */
const VERBS: readonly (readonly [group: string, verbs: readonly Register[]])[] = [
  [
    "The cluster on this machine:",
    [registerUp, registerDown, registerDoctor, registerDashboard, registerBackup, registerRestore],
  ],
  ["Hosts:", [registerHosts, registerHost, registerRebalance, registerWhatIf, registerToken, registerJoin]],
  ["Who may do what:", [registerAccess, registerProject, registerAudit]],
  [
    "Images and data:",
    [registerImage, registerVolume, registerSecret, registerCommit, registerExport, registerLayer, registerSnapshot],
  ],
  ["Work:", [registerRun, registerPlan, registerStop, registerPause, registerResume]],
  [
    "What is going on:",
    [
      registerJobs,
      registerJob,
      registerPs,
      registerLogs,
      registerExec,
      registerAttach,
      registerDiff,
      registerOutputs,
      registerWhy,
      registerEvents,
    ],
  ],
  ["This program:", [registerCompletion, registerVersion]],
];

export const buildProgram = (host: Host): Command => {
  const { io } = host;
  const program = new Command("berth")
    .description("A private cloud of containers from a few Linux machines.")
    .usage("VERB [options]")
    .version(ownVersion(), "-V, --version", "print the version of this program")
    .addHelpText(
      "before",
      "  berth up                        # start a cluster on this machine\n  berth run examples/hello.yaml   # run a container on it\n",
    )
    .configureHelp({ helpWidth: Math.min(io.err.columns() ?? 100, 100), sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => void io.out.write(text),
      writeErr: (text) => void io.err.write(text),
      // Errors are shown by `runProgram`, in the one shape that all errors have.
      outputError: () => {},
      getOutHasColors: () => io.out.colors.isColorSupported,
      getErrHasColors: () => io.err.colors.isColorSupported,
    })
    .exitOverride();
  for (const [group, verbs] of VERBS) {
    program.commandsGroup(group);
    for (const register of verbs) register(program, host);
  }
  program.addHelpCommand(
    new Command("help").argument("[verb]").description("show the help of a verb").helpGroup("This program:"),
  );
  for (const command of program.commands) {
    command.copyInheritedSettings(program);
    for (const inner of command.commands) inner.copyInheritedSettings(program);
  }
  return program;
};

/** Runs one command line; resolves to the exit status. Nothing is thrown. */
export const runProgram = async (io: Io, words: readonly string[]): Promise<number> => {
  let status: number = Exit.ok;
  const program = buildProgram({ io, finish: (code) => (status = code) });
  if (words.length === 0) {
    program.outputHelp({ error: true });
    return Exit.usage;
  }
  try {
    await program.parseAsync([...words], { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return Exit.ok;
    if (io.stop.aborted && !(error instanceof Failure)) return Exit.interrupted;
    const failure = asFailure(program, words, error);
    await io.err.write(renderFailure(failure, io.err.colors, io.command));
    if (
      failure.exit === Exit.bug &&
      failure.code === undefined &&
      (io.env["BERTH_DEBUG"] ?? "") !== "" &&
      error instanceof Error
    ) {
      await io.err.write(`${error.stack ?? ""}\n`);
    }
    return failure.exit;
  }
};

const asFailure = (program: Command, words: readonly string[], error: unknown): Failure => {
  if (error instanceof Failure) return error;
  if (error instanceof CommanderError) return usageFailure(program, words, error);
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new Failure("Something went wrong inside berth", {
    exit: Exit.bug,
    detail,
    next: ["the same with BERTH_DEBUG=1 shows where"],
    cause: error,
  });
};

/** Commander's sentence, made one of ours: `error: unknown option '--detatch'` and the nearest that exists. */
const usageFailure = (program: Command, words: readonly string[], error: CommanderError): Failure => {
  const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const hint = rest.join(" ").replace(/[()]/g, "").trim();
  const verb = program.commands.find((command) => command.name() === words[0]);
  const nearest =
    verb === undefined
      ? suggest(
          words[0] ?? "",
          program.commands.map((command) => command.name()),
        )
      : undefined;
  const detail = hint !== "" ? hint : nearest === undefined ? undefined : `Did you mean ${nearest}?`;
  return new Failure(first, {
    exit: Exit.usage,
    detail,
    next: [`berth ${verb === undefined ? "" : `${verb.name()} `}--help`],
  });
};
