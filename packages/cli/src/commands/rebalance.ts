/** `berth rebalance --plan`: which services should move so that hosts become empty, or none is too full. Changes nothing. */
import { Option } from "commander";
import {
  decoder,
  MAX_REBALANCE_MOVES,
  REBALANCE_GOALS,
  RebalancePlanSchema,
  Routes,
  taskName,
  type RebalanceGoal,
  type RebalancePlan,
  type StayReason,
} from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { Exit } from "../failure.ts";
import { printDocument } from "../output/format.ts";
import type { Colors } from "../output/style.ts";
import { renderTable } from "../output/table.ts";
import { plural } from "./up.ts";
import {
  clientOf,
  wholeNumber,
  withConnection,
  withExamples,
  withFormat,
  type FormatOptions,
  type Register,
} from "./verb.ts";

const decodePlan = decoder(RebalancePlanSchema);

interface Options extends ConnectionOptions, FormatOptions {
  readonly goal: RebalanceGoal;
  readonly maxMoves: number;
  readonly target: number;
}

export const registerRebalance: Register = (program, { io, finish }) => {
  const command = program
    .command("rebalance")
    .description("plan which services to move so that hosts become empty")
    .requiredOption("--plan", "show the plan; this verb never moves anything by itself")
    .addOption(
      new Option("--goal <goal>", "empty: fewer hosts in use; level: none fuller than the target")
        .choices([...REBALANCE_GOALS])
        .default("empty" satisfies RebalanceGoal),
    )
    .option("--max-moves <count>", "moves at most", wholeNumber(1, MAX_REBALANCE_MOVES), 20)
    .option("--target <percent>", "level: how much of a host may be reserved", wholeNumber(1, 100), 80)
    .action(async ({ goal, maxMoves, target, ...options }: Options) => {
      const body = { goal, maxMoves, targetPercent: target };
      const { value } = await clientOf(io, options).post(decodePlan, Routes.rebalancePlan, body);
      await printDocument(io, options.output, {
        document: value,
        name: value.moves.map(({ allocation }) => allocation).join("\n"),
        text: (width) => planText(value, { width, colors: io.out.colors }),
      });
      finish(Exit.ok);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth rebalance --plan", "which hosts could be emptied with 20 moves"],
    ["berth rebalance --plan --goal level --target 70", "relieve hosts of which more is reserved"],
  ]);
};

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const STAYS: Readonly<Record<StayReason, string>> = {
  batch: "of batch jobs, which would start anew",
  daemon: "of daemons, which belong to their hosts",
  not_settled: "of jobs that are starting, stopping or being replaced",
  budget: "of jobs whose disruption budget lets none of them stop",
  rules: "with rules about where others are",
  volumes: "with volumes, which stay where their data is",
  unschedulable_host: "on hosts that are closed or do not answer",
};

const planText = (
  plan: RebalancePlan,
  options: { readonly width: number | undefined; readonly colors: Colors },
): string => {
  const { hostsInUse, fullest, moves, emptied } = plan;
  const lines =
    moves.length === 0
      ? ["no move would help"]
      : [
          `${plural(moves.length, "move")}: ${hostsInUse.before} → ${hostsInUse.after} hosts in use, ` +
            `the fullest ${percent(fullest.before)} → ${percent(fullest.after)} reserved`,
        ];
  if (emptied.length > 0) lines.push(`emptied: ${emptied.join(", ")}`);
  if (moves.length > 0) {
    const table = renderTable(
      [
        { title: "TASK", value: (move) => `${move.project}/${taskName(move.job, move.index)}`, shrinkTo: 16 },
        { title: "FROM", value: (move) => move.from },
        { title: "TO", value: (move) => move.to },
      ],
      moves,
      options,
    );
    lines.push(table.trimEnd());
    lines.push("Each host that is to be emptied: berth host drain HOST, and berth host uncordon HOST afterwards");
  }
  for (const { reason, tasks } of plan.stay) lines.push(`${plural(tasks, "task")} ${STAYS[reason]} stay`);
  return `${lines.join("\n")}\n`;
};
